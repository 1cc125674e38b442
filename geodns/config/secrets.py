"""Secrets: what `{file: …}` and `{env: …}` in geodns.yaml stand for, read when the server needs them."""

from __future__ import annotations

import re
import stat
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from geodns.config.schema.settings import KeyForm, SecretForm, Settings, WebhookForm
from geodns.errors import ConfigError, Position, Problem, Severity

MAX_SECRET = 4096  # octets; a list of cookie secrets is some hundred
MAX_COOKIE_SECRETS = 16
MIN_HEARTBEAT_SECRET = 16  # octets
_COOKIE_SECRET = re.compile(rb"[0-9A-Fa-f]{32}").fullmatch


def read_secret(form: SecretForm, environ: Mapping[str, str]) -> bytes:
    """The secret, without white space around it. Raises ConfigError with one problem where there is none."""
    if form.env is not None:
        secret = _of_variable(form.env, environ)
        source = form.env
    else:
        assert form.file is not None, "the schema wants one of both"
        secret = _of_file(form.file)
        source = str(form.file)
    if len(secret) > MAX_SECRET:
        _refuse(source, f"holds more than the {MAX_SECRET} octets that a secret may have")
    if not secret.strip():
        _refuse(source, "holds no secret: it is empty")
    return secret.strip()


def exposed(settings: Settings) -> list[Problem]:
    """A warning for each secret whose file every user of the machine can read."""
    keys = [key.secret for key in settings.transfer.keys.values()]
    hooks = [hook.secret for hook in settings.alarms.webhooks]
    forms = [*keys, *settings.heartbeats.keys.values(), settings.cookies.secrets, *hooks]
    files = [form.file for form in forms if form is not None and form.file is not None]
    message = "every user of this machine can read this secret"
    return [
        Problem("open-secret", message, Position(str(path)), f"chmod o-rwx {path}", Severity.WARNING)
        for path in dict.fromkeys(files)
        if _is_open(path)
    ]


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except (OSError, ValueError):  # what is wrong with it is told by whoever reads it
        return False


def tsig_secrets(keys: Mapping[str, KeyForm], environ: Mapping[str, str]) -> dict[str, bytes]:
    """The secret of each TSIG key by its name. Raises ConfigError with a problem for each that has none."""
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    for name, key in keys.items():
        try:
            text = b"".join(read_secret(key.secret, environ).split())
            found[name] = b64decode(text, validate=True)
        except ConfigError as error:
            problems += error.problems
        except ValueError:
            source = Position(str(key.secret.file or key.secret.env))
            message = f"the secret of the key '{name}' is no base64"
            problems.append(Problem("bad-secret", message, source, "openssl rand -base64 32 makes one"))
    if problems:
        raise ConfigError(tuple(problems))
    return found


def heartbeat_secrets(keys: Mapping[str, SecretForm], environ: Mapping[str, str]) -> dict[str, bytes]:
    """The secret of each key of heartbeats. Raises ConfigError with a problem for each that has none."""
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    for name, form in keys.items():
        try:
            found[name] = heartbeat_secret(form, environ)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(tuple(problems))
    return found


def heartbeat_secret(form: SecretForm, environ: Mapping[str, str]) -> bytes:
    """A secret that heartbeats are signed with. Raises ConfigError where it is missing or too short."""
    secret = read_secret(form, environ)
    if len(secret) < MIN_HEARTBEAT_SECRET:
        message = f"a secret for heartbeats has at least {MIN_HEARTBEAT_SECRET} octets"
        _refuse(str(form.file or form.env), message, "openssl rand -hex 32 makes one")
    return secret


def cookie_secrets(form: SecretForm, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The secrets of DNS Cookies, the one that makes them first. Raises ConfigError for what is none."""
    lines = read_secret(form, environ).split()
    source = str(form.file or form.env)
    if len(lines) > MAX_COOKIE_SECRETS:
        _refuse(source, f"there are more than {MAX_COOKIE_SECRETS} secrets")
    for number, line in enumerate(lines, 1):
        if not _COOKIE_SECRET(line):
            message = f"line {number} is no secret of 32 hex digits"
            _refuse(source, message, "openssl rand -hex 16 makes one")
    return tuple(bytes.fromhex(line.decode()) for line in lines)


def webhook_secrets(forms: Sequence[WebhookForm], environ: Mapping[str, str]) -> list[bytes | None]:
    """What each webhook is signed with, None: nothing. Raises ConfigError with a problem for each that cannot
    be had.
    """
    found: list[bytes | None] = []
    problems: list[Problem] = []
    for form in forms:
        try:
            found.append(None if form.secret is None else read_secret(form.secret, environ))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(tuple(problems))
    return found


def _of_variable(name: str, environ: Mapping[str, str]) -> bytes:
    if name not in environ:
        _refuse(name, "the variable is not set, but geodns.yaml takes a secret from it")
    return environ[name].encode("utf-8", "surrogateescape")


def _of_file(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for whoever writes into it
            _refuse(str(path), "the secret cannot be read: it is no file")
        with path.open("rb") as file:
            return file.read(MAX_SECRET + 1)
    except (OSError, ValueError) as error:
        _refuse(str(path), f"the secret cannot be read: {getattr(error, 'strerror', None) or error}")


def _refuse(source: str, message: str, hint: str = "") -> NoReturn:
    raise ConfigError((Problem("bad-secret", message, Position(source), hint),))
