"""Documents that run: their fenced blocks, and how a real output is compared with the one on paper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
ANYTHING = "…"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\S*)\s*$")
_COMMENT = re.compile(r"^ *<!-- (?P<text>.*) -->$")
_CHANGING = (  # what is another every time
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?"), "<time>"),
    (re.compile(r"\d+(\.\d)? ms"), "<ms>"),
    (re.compile(r", \d+\.\d s\)"), ", <seconds>)"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"\b1\d{9}\b"), "<serial>"),
    (re.compile(r"\brows 1 to \d+"), "rows 1 to <last>"),
    (re.compile(r"\bhead \d+:[0-9a-f]{64}"), "head <head>"),
    (re.compile(r"\b[\w.-]+@[\w-]+\b"), "<who>"),
    (re.compile(r"/\S*?/(?=(zones|data|state)[/.])"), ""),
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the HTML comment right above it, its text, where it begins."""

    kind: str
    comment: str
    text: str
    line: int
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def file_name(self) -> str:
        """The path in a first line such as `# zones/shop.yaml`, or nothing."""
        found = re.match(r"# (\S+\.yaml)\n", self.text)
        return found[1] if found else ""

    def commands(self) -> list[tuple[str, list[str]]]:
        """The lines after `$ `, each with the output that follows it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a document, in order."""
    found: list[Block] = []
    comment, kind, indent, start = "", None, "", 0
    held: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if kind is not None:
            if fence and fence["indent"] == indent:
                text = "".join(f"{entry.removeprefix(indent)}\n" for entry in held)
                found.append(Block(kind, comment, text, start, path.name))
                comment, kind = "", None
            else:
                held.append(line)
        elif fence:
            kind, indent, start, held = fence["kind"], fence["indent"], number, []
        else:
            said = _COMMENT.match(line)
            comment = said["text"] if said else ""
    assert kind is None, f"{path.name}:{start}: this block never ends"
    return found


def links(path: Path) -> list[str]:
    """The relative links of a document."""
    text = path.read_text(encoding="utf-8")
    return [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]


class Plain:
    """Outputs without what changes from run to run; an endpoint's address becomes its region's name."""

    def __init__(self, regions: dict[str, str]) -> None:
        self._regions = regions

    def __call__(self, line: str) -> str:
        for pattern, instead in _CHANGING:
            line = pattern.sub(instead, line)
        return re.sub(r"[0-9a-f]*[.:][0-9a-f.:]+", lambda match: self._named(match[0]), line).rstrip()

    def _named(self, text: str) -> str:
        try:
            return self._regions.get(str(ip_address(text)), text)
        except ValueError:
            return text

    def matches(self, expected: list[str], found: list[str]) -> bool:
        """Whether the lines are the same; a line `…` stands for any lines or none."""
        pattern = "".join(
            r"(.*\n)*?" if line.strip() == ANYTHING else re.escape(self(line)) + r"\n" for line in expected
        )
        return re.fullmatch(pattern, "".join(f"{self(line)}\n" for line in found)) is not None


def addresses(zone: str) -> dict[str, str]:
    """`<region>` for every address that the pools of a zone file name."""
    found = {}
    for pool in yaml.load(zone, yaml.BaseLoader)["pools"].values():
        for region, written in pool["regions"].items():
            inner = written["endpoints"] if isinstance(written, dict) and "endpoints" in written else written
            for endpoint in inner if isinstance(inner, list) else [inner]:
                found |= dict.fromkeys(endpoint.get("address", []), f"<{region}>")
    return found
