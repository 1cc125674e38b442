"""What libyaml says of broken YAML, in words that tell what to do."""

from __future__ import annotations

import re
from typing import Any

from yaml.error import MarkedYAMLError

_IPV6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/\d+)?")
_QUOTE = '"{}"'


def reword(error: MarkedYAMLError, text: str) -> tuple[str, str, Any]:
    """Message, hint, and the mark to point at."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or str(error)
    line = _line(text, mark.line) if mark else ""
    address = _address_at(line, mark.column) if mark else None
    if address is not None and _may_be_address(problem):
        return f'quote this IPv6 address: "{address}"', "a colon has a meaning in YAML", mark
    char = line[mark.column : mark.column + 1] if mark else ""
    if "cannot start any token" in problem:
        return _token(char, line, mark)
    if "mapping values are not allowed" in problem:
        return (
            "a second ': ' in one value, or a line that is indented too far",
            "quote text that holds ': ', or align the line with its neighbours",
            mark,
        )
    if "alphabetic or numeric character" in problem:
        begin: Any = error.context_mark or mark
        word = re.split(r":?\s|:$", line[begin.column :], maxsplit=1)[0]
        return f"quote text that begins with {word[:1]}: {_QUOTE.format(word)}", "", begin
    if "could not find expected ':'" in problem:
        at = error.context_mark or mark
        return "this line is no 'key: value'", "a colon and a space belong after a key", at
    if "expected ',' or" in problem:
        return f"a {problem[-3:]} or a comma is missing", f"the bracket opens in {_where(error)}", mark
    if "unexpected end of stream" in problem or "end of document" in problem:
        return "this quote is never closed", "", error.context_mark or mark
    if "unknown escape character" in problem:
        return "in double quotes a backslash begins an escape", "use single quotes, or write \\\\", mark
    if "did not find expected key" in problem:
        return (
            "this line does not fit the mapping around it",
            f"the mapping begins in {_where(error)}; check the indentation",
            mark,
        )
    if "expected '-' indicator" in problem:
        return (
            "this line does not fit the list around it",
            f"the list begins in {_where(error)}; check the indentation",
            mark,
        )
    if "expected node content" in problem:
        return "a value is missing here", "check brackets and commas, or quote the text", mark
    return problem, "", mark


def _may_be_address(problem: str) -> bool:
    return any(
        sign in problem
        for sign in ("unexpected ':'", "expected node content", "mapping values are not allowed")
    )


def _token(char: str, line: str, mark: Any) -> tuple[str, str, Any]:
    if char == "\t":
        return "a tab is used for indentation", "use spaces", mark
    word = re.split(r":?\s|:$|[,\]}]", line[mark.column :], maxsplit=1)[0]
    return f"text that begins with {char} must be quoted: {_QUOTE.format(word)}", "", mark


def _line(text: str, number: int) -> str:
    """Line `number` (from 0) of the text; only looked up when there is something to report."""
    lines = text.split("\n", number + 1)
    return lines[number].rstrip("\r") if number < len(lines) else ""


def _address_at(line: str, column: int) -> str | None:
    """The IPv6 address that the column is in or right behind, if there is one."""
    for found in _IPV6.finditer(line):
        if found.start() <= column <= found.end() and "::" in found.group():
            return found.group()
    return None


def _where(error: MarkedYAMLError) -> str:
    return f"line {error.context_mark.line + 1}" if error.context_mark else "a line above"
