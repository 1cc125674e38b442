"""The token that every call needs: made at first start, kept in a file that only its owner can read."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

import structlog

from geodns.errors import GeodnsError

MIN_TOKEN = 16
MAX_TOKEN = 512

_log = structlog.get_logger("geodns.admin")


def load_token(path: Path) -> str:
    """The token in the file, which is made (0600, its folder 0700) where there is none.

    Raises GeodnsError where it cannot be read or made, or holds no usable token.
    """
    try:
        if not path.exists():
            _make(path, secrets.token_urlsafe(32))
        token = _read(path)
    except OSError as error:
        raise GeodnsError(f"cannot use the token file {path}: {error.strerror or error}") from error
    if not MIN_TOKEN <= len(token) <= MAX_TOKEN or not all("!" <= c <= "~" for c in token):
        raise GeodnsError(
            f"the token file {path} holds no usable token ({MIN_TOKEN} to {MAX_TOKEN} visible "
            "ASCII characters): remove it, and the next start makes a new one"
        )
    return token


def _make(path: Path, token: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole = path.with_name(f"{path.name}.{os.getpid()}.new")
    handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, f"{token}\n".encode())
        os.fsync(handle)
        with suppress(FileExistsError):  # another start was first: its token counts
            os.link(whole, path)
    finally:
        os.close(handle)
        whole.unlink()


def _read(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(0o600)
        except OSError:
            _log.warning("others can read the token file", path=str(path))
    with path.open("rb") as file:
        return file.read(MAX_TOKEN + 2).decode("latin-1").strip()


def allowed(token: str, authorization: str | None) -> bool:
    """Whether an Authorization header bears the token (RFC 6750 §2.1), compared in constant time."""
    scheme, _, given = (authorization or "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return matches and scheme.lower() == "bearer"
