"""`geodns.yaml`: every key has a default. Frozen, read straight into what the program uses."""

# ruff: noqa: RUF012 - pydantic copies defaults

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from geodns.config.schema.types import (
    Deadline,
    Flag,
    Form,
    Given,
    Id,
    Interval,
    Many,
    Network,
    Reads,
    Span,
    Text,
    Wait,
    one_of,
    read_whole,
    text_of,
    whole,
    wrong,
)
from geodns.core.alarms import Kind


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: an IP address and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Here(str):
    """A path that was written on the command line: relative to where one stands, not to the file."""

    __slots__ = ()


def _listen(default_port: int) -> Reads:
    def read(value: Any) -> Listen:
        if isinstance(value, Listen):
            return value
        text = text_of(value, "an address with a port")
        host, port = _host_port(text)
        try:
            address = ip_address(host)
        except ValueError:
            wrong("bad-address", f"'{text}' is no address to listen on", 'write 127.0.0.1:53 or "[::1]:53"')
        number = default_port if port is None else int(port)
        if number > 65535:
            wrong("out-of-range", f"the port {port} is not between 0 and 65535")
        return Listen(str(address), number)

    return Reads(read, {"type": "string", "description": 'an address with a port: 127.0.0.1:53, "[::1]:53"'})


_BRACKETED = re.compile(r"\[([^\]]*)\](?::(\d{1,5}))?", re.ASCII).fullmatch
_PLAIN = re.compile(r"([^:]*)(?::(\d{1,5}))?", re.ASCII).fullmatch


def _host_port(text: str) -> tuple[str, str | None]:
    bracketed = _BRACKETED(text)
    if bracketed and ":" in bracketed[1]:
        return bracketed[1], bracketed[2]
    match = _PLAIN(text)
    if match:
        return match[1], match[2]
    try:
        return str(IPv6Address(text)), None
    except ValueError:
        return text, None


class _PathFrom:
    """A path; a relative one is below the folder that the validation context names as `base`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_read_path)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "description": "a path, relative to this file"}


def _read_path(value: Any, info: ValidationInfo) -> Path:
    path = value if isinstance(value, Path) else Path(text_of(value, "a path")).expanduser()
    base = Path() if isinstance(value, Here) else (info.context or {}).get("base", Path())
    return path if path.is_absolute() else base / path


_SIZE = re.compile(r"(\d{1,12})\s*(KiB|MiB|GiB)?", re.ASCII).fullmatch
_SIZES = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _size(value: Any) -> int:
    text = text_of(value, "a size")
    match = _SIZE(text)
    if match is None:
        wrong("bad-size", f"'{text}' is no size", "write 1048576 or 64MiB")
    return int(match[1]) * _SIZES[match[2]]


FilePath = Annotated[Path, _PathFrom()]
Size = Annotated[int, Reads(_size, {"type": ["integer", "string"]})]
DnsAddress = Annotated[Listen, _listen(53)]
AdminAddress = Annotated[Listen, _listen(8053)]


class ListenSettings(Form):
    dns: Many[DnsAddress] = [Listen("0.0.0.0", 53), Listen("::", 53)]


class DatabaseSettings(Form):
    """Paths of MMDB files. `synthetic` allows those that geodns makes itself, for trying it out."""

    city: Given[FilePath] = None
    country: Given[FilePath] = None
    asn: Given[FilePath] = None
    isp: Given[FilePath] = None
    synthetic: Flag = False


class AdminSettings(Form):
    listen: AdminAddress = Listen("127.0.0.1", 8053)
    token_file: FilePath = Field(default=Path("token"), validate_default=True)


class WidestSettings(Form):
    """The widest scope that is told to resolvers, as prefix lengths."""

    ipv4: Annotated[int, whole(0, 32)] = 20
    ipv6: Annotated[int, whole(0, 128)] = 40


class EcsSettings(Form):
    """`resolvers` are the networks whose Client Subnet is believed."""

    resolvers: Many[Network] = ["0.0.0.0/0", "::/0"]
    widest: WidestSettings = WidestSettings()


class SecretForm(Form):
    """A secret is not written into the settings: it is in a file, or in a variable of the environment."""

    file: Given[FilePath] = None
    env: Given[Text] = None

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            wrong("open-secret", "a secret does not stand here", "write {file: PATH} or {env: NAME}")
        if len(value) != 1:
            wrong("wrong-type", "a secret is either {file: PATH} or {env: NAME}")
        return value


def _label(value: Any) -> str:
    text = text_of(value, "text")
    if len(text.encode()) > MAX_IDENTITY:
        wrong("too-long", f"the text is longer than {MAX_IDENTITY} octets")
    return text


MAX_IDENTITY = 128
Label = Annotated[str, Reads(_label, {"type": "string"})]


class IdentitySettings(Form):
    """What the server says of itself when asked: nothing, unless it is written here."""

    version: Given[Label] = None
    server: Given[Label] = None
    nsid: Given[Label] = None


class CookieSettings(Form):
    policy: Annotated[str, one_of("off", "answer", "require")] = "answer"
    secrets: Given[SecretForm] = None


class RateSettings(Form):
    """`responses` a second for each /24 and /56 over UDP, 0: without limit."""

    responses: Annotated[int, whole(0, 1_000_000)] = 0
    slip: Annotated[int, whole(0, 10)] = 1
    exempt: Many[Network] = []
    dry_run: Flag = False


class KeyForm(Form):
    """A TSIG key; the secret is base64."""

    algorithm: Annotated[str, one_of("hmac-sha256", "hmac-sha384", "hmac-sha512")] = "hmac-sha256"
    secret: SecretForm


class PeerForm(Form):
    """Who may transfer zones (all, or those named), and whether it is told of changes."""

    address: Network
    key: Given[Id] = None
    notify: Given[DnsAddress] = None
    zones: Many[Text] = []


class TransferSettings(Form):
    keys: dict[Id, KeyForm] = {}
    peers: Many[PeerForm] = []


class ExtendedErrorSettings(Form):
    """`states`: tell in an answer (RFC 8914) that it fails open, or that all its regions are paused."""

    states: Flag = False


def _percent(value: Any) -> int:
    text = text_of(value, "a share")
    if text == "off":
        return 0
    if not text.endswith("%"):
        wrong("not-a-share", f"'{text}' is no share", "write 60%, or off")
    return read_whole(text[:-1].strip(), 1, 100)


Percent = Annotated[int, Reads(_percent, {"type": "string", "pattern": r"^(\d+%|off)$"})]


class ProbeSettings(Form):
    """`allow`: networks that probes may reach although they are closed by default.

    `suspect`: the share in percent of what was well that fails at once where the prober is to blame; 0: none.
    `exec`: whether checks may run programs, as the user that the server runs as.
    """

    allow: Many[Network] = []
    suspect: Percent = 60
    exec: Flag = False


class HeartbeatSettings(Form):
    """`keys`: by name, the secrets with which endpoints sign their heartbeats."""

    keys: dict[Id, SecretForm] = {}


class LimitSettings(Form):
    """`places` are clients remembered, twice at the most; `tcp_idle` is seconds; `probes` run at once, and
    of those that run a program, `commands`.

    `rate_blocks` are networks whose rate is watched, `transfers` zones under way at a time,
    `logged_queries` lines a second.
    """

    udp_payload: Annotated[int, whole(512, 4096)] = 1232
    tcp_connections: Annotated[int, whole(1, 1_000_000)] = 1000
    tcp_per_address: Annotated[int, whole(1, 1_000_000)] = 50
    tcp_idle: Interval = 10.0
    places: Annotated[int, whole(1, 100_000_000)] = 65536
    classes: Annotated[int, whole(1, 1 << 20)] = 65536
    zone_bytes: Size = 64 << 20
    probes: Annotated[int, whole(1, 100_000)] = 256
    commands: Annotated[int, whole(1, 1000)] = 16
    rate_blocks: Annotated[int, whole(1, 100_000_000)] = 65536
    transfers: Annotated[int, whole(1, 10_000)] = 10
    logged_queries: Annotated[int, whole(1, 1_000_000)] = 100


class LogSettings(Form):
    """`queries`: one query in so many is logged, 0: none."""

    level: Annotated[str, one_of("debug", "info", "warning", "error")] = "info"
    format: Annotated[str, one_of("auto", "console", "json", "logfmt")] = "auto"
    queries: Annotated[int, whole(0, 1_000_000_000)] = 0


MAX_URL = 2048


def _url(value: Any) -> str:
    text = text_of(value, "a URL")
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or len(text) > MAX_URL or not text.isprintable() or " " in text:
        wrong(
            "bad-url", f"'{text[:80]}' is no URL to send alarms to", "write https://alarms.example.com/geodns"
        )
    if parts.username is not None:
        wrong("open-secret", "a secret does not stand here", "sign what is sent: secret: {file: PATH}")
    return text


Url = Annotated[str, Reads(_url, {"type": "string", "pattern": "^https?://"})]
AlarmKind = Annotated[str, one_of(*(kind.value for kind in Kind))]


class WebhookForm(Form):
    """Where alarms are sent, signed with the secret where there is one; all kinds, or those named."""

    url: Url
    secret: Given[SecretForm] = None
    kinds: Many[AlarmKind] = []


class AlarmSettings(Form):
    """`certificate` and `override_ends`: seconds before the end; `timeout`: for each attempt to deliver."""

    certificate: Span = 14 * 86400
    database_age: Span = 30 * 86400
    override_ends: Span = 300
    timeout: Deadline = 10.0
    webhooks: Many[WebhookForm] = []
    command: Many[Text] = []


LANES = ("auto", "python", "native")
MAX_THREADS = 256  # on each address
MAX_CORES = 1024  # what the system's set of CPUs has room for


class Settings(Form):
    """The whole of geodns.yaml; durations in seconds, paths absolute or from where the program stands."""

    listen: ListenSettings = ListenSettings()
    zones: FilePath = Field(default=Path("zones"), validate_default=True)
    databases: DatabaseSettings = DatabaseSettings()
    admin: AdminSettings = Field(default_factory=dict, validate_default=True)
    state: FilePath = Field(default=Path("geodns.sqlite"), validate_default=True)
    lines: Given[FilePath] = None
    lane: Annotated[str, one_of(*LANES)] = "auto"
    threads: Annotated[int, whole(0, MAX_THREADS)] = 0
    cores: Many[Annotated[int, whole(0, MAX_CORES - 1)]] = []
    ecs: EcsSettings = EcsSettings()
    identity: IdentitySettings = IdentitySettings()
    cookies: CookieSettings = CookieSettings()
    rate: RateSettings = RateSettings()
    transfer: TransferSettings = TransferSettings()
    extended_errors: ExtendedErrorSettings = ExtendedErrorSettings()
    startup_wait: Wait = 10.0
    failover_budget: Wait = 30.0
    probes: ProbeSettings = ProbeSettings()
    heartbeats: HeartbeatSettings = HeartbeatSettings()
    alarms: AlarmSettings = AlarmSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
