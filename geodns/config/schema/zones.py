"""The zone files: one form for every mapping that people write.

A form holds what was written, widened (a lone value is a list of one, a string is the mapping it is short
for) and read, but not resolved: names of other things are still names.
"""

# ruff: noqa: RUF012 - pydantic copies defaults

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

from geodns.config.schema.guards import MAX_CAPACITY, GuardForm, ShedForm, ShedRef, percent
from geodns.config.schema.types import (
    MAX_WEIGHT,
    Address,
    Asn,
    City,
    Continent,
    Country,
    EndpointName,
    Flag,
    Form,
    Given,
    Host,
    Id,
    Interval,
    LongWait,
    Many,
    Network,
    Port,
    Reads,
    Span,
    Subdivision,
    Text,
    Threshold,
    Tier,
    Ttl,
    Unsigned32,
    Wait,
    Weight,
    one_of,
    read_id,
    read_whole,
    text_of,
    whole,
    wrong,
)
from geodns.model import AnyRegion, Minimum, Nearest, Split, Step

Short = Callable[[dict[str, Any]], None]


def short_for(*forms: str) -> Short:
    """JSON Schema: the mapping may be written short, as one of these types."""

    def widen(schema: dict[str, Any]) -> None:
        mapping = dict(schema)
        schema.clear()
        schema["anyOf"] = [{"type": form} for form in forms] + [mapping]

    return widen


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _at(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        wrong("bad-coordinates", "coordinates are [latitude, longitude] in degrees")
    degrees = []
    for item, limit, what in zip(value, (90, 180), ("latitude", "longitude"), strict=True):
        try:
            number = float(text_of(item, "a number"))
        except ValueError:
            wrong("not-a-number", f"'{item}' is no number")
        if not -limit <= number <= limit:
            wrong("out-of-range", f"{what} {item} is not between -{limit} and {limit}")
        degrees.append(number)
    return degrees[0], degrees[1]


class RegionForm(Form):
    title: Text = ""
    at: Given[
        Annotated[
            tuple[float, float],
            Reads(_at, {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
        ]
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return {} if value is None else value


class LineForm(Form):
    model_config = ConfigDict(json_schema_extra=short_for("string", "integer", "array"))
    title: Text = ""
    networks: Many[Network] = []
    asns: Many[Asn] = []

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            return value
        networks = [item for item in items if "." in item or ":" in item]
        asns = [item for item in items if item not in networks]
        return {key: found for key, found in (("networks", networks), ("asns", asns)) if found}


def _status(value: Any) -> tuple[int, int]:
    low, dash, high = text_of(value, "a status").partition("-")
    first = read_whole(low.strip(), 100, 599)
    last = read_whole(high.strip(), 100, 599) if dash else first
    if last < first:
        wrong("out-of-range", f"'{value}' ends before it begins")
    return first, last


def _path(value: Any) -> str:
    path = text_of(value, "a path")
    if not path.startswith("/") or not path.isascii() or any(c.isspace() for c in path):
        wrong("bad-path", f"'{path}' is no path", "begin with /, escape spaces as %20")
    return path


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        wrong("wrong-type", "a mapping of header names to values is expected here")
    for name, content in value.items():
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            wrong("bad-header", f"'{name}' is no header name")
        if not text_of(content, "a header's value").isprintable():
            wrong("bad-header", f"the value of header '{name}' holds control characters")
    return tuple(value.items())


_RECORDS = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
_RCODES = ("NOERROR", "NXDOMAIN", "REFUSED", "SERVFAIL", "NOTAUTH")


_KINDS = ("http", "https", "tcp", "tls", "dns", "icmp", "grpc", "grpcs", "exec", "heartbeat", "follow")


def _service(value: Any) -> str:
    text = text_of(value, "a gRPC service")
    if len(text) > 255 or any(c.isspace() or not c.isprintable() for c in text):
        wrong("bad-service", f"'{text}' is no gRPC service", "its full name, as in helloworld.Greeter")
    return text


MAX_ARGUMENT = 4096


def _argument(value: Any) -> str:
    text = text_of(value, "an argument")
    if len(text) > MAX_ARGUMENT or "\0" in text:
        wrong("bad-command", f"an argument has at most {MAX_ARGUMENT} characters, and none is NUL")
    return text


def _need(value: Any) -> int:
    words = {"all": 0, "any": 1}
    text = text_of(value, "all, any or a count")
    return words[text] if text in words else read_whole(text, 1, 1000)


class CheckForm(Form):
    like: Given[Id] = None
    type: Given[Annotated[str, one_of(*_KINDS)]] = None
    port: Given[Port] = None
    probe: Given[Host] = None
    interval: Interval = 3.0
    retry_interval: Given[Interval] = None
    timeout: Interval = 2.0
    fall: Threshold = (3, 0)
    rise: Threshold = (3, 0)
    damping: Wait = 10.0
    path: Annotated[str, Reads(_path, {"type": "string", "pattern": "^/"})] = "/"
    method: Annotated[str, one_of("GET", "HEAD", "POST")] = "GET"
    host: Given[Host] = None
    sni: Given[Host] = None
    headers: Annotated[
        tuple[tuple[str, str], ...],
        Reads(_headers, {"type": "object", "additionalProperties": {"type": "string"}}),
    ] = ()
    status: Many[Annotated[tuple[int, int], Reads(_status, {"type": ["integer", "string"]})]] = [(200, 299)]
    body: Given[Text] = None
    version: Annotated[str, one_of("1.1", "2")] = "1.1"
    verify: Flag = True
    service: Given[Annotated[str, Reads(_service, {"type": "string"})]] = None
    query: Given[Host] = None
    record: Annotated[str, one_of(*_RECORDS)] = "A"
    rcode: Annotated[str, one_of(*_RCODES)] = "NOERROR"
    answer: Given[Text] = None
    transport: Annotated[str, one_of("udp", "tcp")] = "udp"
    command: Annotated[Many[Annotated[str, Reads(_argument, {"type": "string"})]], Field(max_length=64)] = []
    key: Given[Id] = None
    of: Many[Id] = []
    need: Annotated[int, Reads(_need, {"type": ["integer", "string"], "pattern": r"^(all|any|\d+)$"})] = 0


def _shape(value: Any) -> str:
    return "<mapping>" if isinstance(value, dict | CheckForm) else "<name>"


CheckRef = Annotated[
    Annotated[Id, Tag("<name>")] | Annotated[CheckForm, Tag("<mapping>")], Discriminator(_shape)
]


class EndpointForm(Form):
    model_config = ConfigDict(json_schema_extra=short_for("string"))
    name: Given[EndpointName] = None
    address: Many[Address] = []
    target: Given[Text] = None
    weight: Weight = 1
    tier: Tier = 1
    port: Given[Port] = None
    probe: Given[Host] = None
    check: Given[CheckRef] = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        is_name = value.endswith(".") and not _is_address(value)
        return {"target": value} if is_name else {"address": value}


def _minimum(value: Any) -> Minimum:
    text = text_of(value, "a count or a share")
    if text.endswith("%"):
        return Minimum(percent=read_whole(text[:-1].strip(), 1, 100))
    return Minimum(count=read_whole(text, 1, 10_000))


class PoolRegionForm(Form):
    model_config = ConfigDict(json_schema_extra=short_for("string", "array"))
    endpoints: Many[EndpointForm]
    minimum_healthy: Annotated[
        Minimum, Reads(_minimum, {"type": ["integer", "string"], "pattern": r"^\d+%?$"})
    ] = Minimum()
    capacity: Given[Annotated[int, whole(1, MAX_CAPACITY)]] = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        if value is None or (isinstance(value, dict) and value.keys() & cls.model_fields.keys()):
            return value
        return {"endpoints": value}


class BackupForm(Form):
    backup: Many[Address]


AllDownRef = Annotated[
    Annotated[str, one_of("serve", "nodata"), Tag("<name>")] | Annotated[BackupForm, Tag("<mapping>")],
    Discriminator(_shape),
]


class FailbackForm(Form):
    after: Given[LongWait] = None
    ramp: Given[LongWait] = None


FailbackRef = Annotated[
    Annotated[str, one_of("auto", "manual"), Tag("<name>")] | Annotated[FailbackForm, Tag("<mapping>")],
    Discriminator(_shape),
]


def _answers(value: Any) -> int | None:
    return None if value == "all" else read_whole(value, 1, 255)


Answers = Annotated[
    int | None,
    Reads(_answers, {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 255}, {"const": "all"}]}),
]
PickWord = Annotated[str, one_of("weighted", "round-robin", "sticky")]


class PoolForm(Form):
    check: Given[CheckRef] = None
    policy: Given[Id] = None
    pick: PickWord = "weighted"
    answers: Answers = 1
    when_all_down: AllDownRef = "serve"
    panic: Given[Annotated[int, percent(1, 100)]] = None
    shed: ShedRef = ShedForm()
    guard: GuardForm = GuardForm()
    failback: FailbackRef = "auto"
    regions: Annotated[dict[Id, PoolRegionForm], Field(min_length=1)]


class WhenForm(Form):
    network: Many[Network] = []
    line: Many[Id] = []
    asn: Many[Asn] = []
    city: Many[City] = []
    subdivision: Many[Subdivision] = []
    country: Many[Country] = []
    continent: Many[Continent] = []


def _step(value: Any) -> Step:
    if isinstance(value, dict) and "nearest" in value:
        if len(value) > 1:
            wrong("bad-step", "`nearest` cannot be one of a split", "make it a step of its own")
        return Nearest(read_whole(value["nearest"], 1, 1000))
    if isinstance(value, dict):
        if not value:
            wrong("empty", "a split names at least one region")
        return Split(tuple((read_id(region), _share(region, weight)) for region, weight in value.items()))
    text = text_of(value, "a region, a split, nearest or any")
    if text == "nearest":
        return Nearest()
    return AnyRegion() if text == "any" else Split(((read_id(text), 1),))


def _share(region: str, weight: Any) -> int:
    if region == "any":
        wrong("bad-step", "`any` cannot be one of a split", "make it a step of its own")
    return read_whole(weight, 1, MAX_WEIGHT)


class RuleForm(Form):
    when: WhenForm = WhenForm()
    to: Many[Annotated[Step, Reads(_step, {"type": ["string", "object"]})]]
    fence: Flag = False


PolicyForm = Many[RuleForm]


class SteerForm(Form):
    model_config = ConfigDict(json_schema_extra=short_for("string"))
    pool: Id
    policy: Given[Id] = None
    pick: Given[PickWord] = None
    answers: Answers = 0  # 0: the pool's
    ttl: Given[Ttl] = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return {"pool": value} if isinstance(value, str) else value


def _rdata(value: Any) -> str:
    return value if value == "" else text_of(value, "record data")


class RdataForm(Form):
    model_config = ConfigDict(json_schema_extra=short_for("string", "array"))
    values: Many[Annotated[str, Reads(_rdata, {"type": ["string", "number"]})]]
    ttl: Given[Ttl] = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) or value is None else {"values": value}


class RecordForm(Form):
    """What stands at one name: `steer`, a default `ttl`, and record types (any spelling, any type)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, RdataForm] = Field(init=False)
    steer: Given[SteerForm] = None
    ttl: Given[Ttl] = None


class SoaForm(Form):
    mname: Given[Text] = None
    rname: Given[Text] = None
    serial: Given[Unsigned32] = None
    refresh: Span = 7200
    retry: Span = 1800
    expire: Span = 1209600
    minimum: Given[Span] = None
    ttl: Given[Ttl] = None


def _nameservers(value: Any) -> dict[str, list[Any]]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        return {text_of(name, "a name"): [] for name in value}
    if not isinstance(value, dict):
        wrong("wrong-type", "a mapping of names to addresses, or a list of names, is expected here")
    return {
        name: [] if item is None else item if isinstance(item, list) else [item]
        for name, item in value.items()
    }


_NAMESERVERS_SCHEMA = {
    "type": ["object", "array", "string"],
    "description": "names to addresses, or a list of names",
}


class ZoneHead(Form):
    """The keys of a zone file that say something of the zone as a whole."""

    zone: Text
    ttl: Ttl = 30
    ttl_min: Ttl = 5
    client_subnet: Flag = True
    soa: SoaForm = SoaForm()
    nameservers: Annotated[
        dict[str, list[Address]], BeforeValidator(_nameservers), WithJsonSchema(_NAMESERVERS_SCHEMA)
    ] = {}


class SharedFile(Form):
    """A file whose name begins with `_`: what zones share."""

    regions: dict[Id, RegionForm] = {}
    checks: dict[Id, CheckForm] = {}
    lines: dict[Id, LineForm] = {}
    pools: dict[Id, PoolForm] = {}
    policies: dict[Id, PolicyForm] = {}
    guards: dict[Id, GuardForm] = {}


class ZoneFile(SharedFile, ZoneHead):
    """A zone, with what is its own."""

    records: dict[str, RecordForm] = {}
