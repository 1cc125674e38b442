"""The words of the files: each reads the text that was written and says what else it could have been.

A reader gets a plain value (str, None, dict, list) and returns what the model wants; what is wrong is told
with `wrong`. Every word also carries the JSON Schema that editors see.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, LiteralString, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from geodns.config.countries import CONTINENTS, countries
from geodns.core import duration

T = TypeVar("T")
MAX_TTL = 0x7FFFFFFF  # RFC 2181 §8
MAX_WEIGHT = 1_000_000
MAX_WINDOW = 100  # results of a check that are remembered


class Form(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def wrong(code: LiteralString, message: str, hint: str = "") -> NoReturn:
    raise PydanticCustomError(code, "{message}", {"message": message, "hint": hint})


class Reads:
    """Marks a type as read by `read`; `schema` is what editors are told."""

    def __init__(self, read: Callable[[Any], Any], schema: dict[str, Any]) -> None:
        self.read = read
        self.schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.schema)


class _Listed:
    """A list that may be written as its only item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        inner = handler(schema)
        return {"anyOf": [inner["items"], inner]}


def _listed(value: Any) -> Any:
    if value == []:
        wrong("empty-list", "the list is empty", "leave the key out, or name at least one")
    return value if isinstance(value, list) or value is None else [value]


class _Given:
    """A key that may be left out (then it is None), but not be written without a value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


Many = Annotated[list[T], _Listed()]
Given = Annotated[T | None, _Given()]


def text_of(value: Any, wanted: str) -> str:
    """The value as text, or the error that says what is wanted instead."""
    if value is None or value == "":
        wrong("empty", f"has no value; {wanted} is expected")
    if not isinstance(value, str):
        found = "a mapping" if isinstance(value, dict) else "a list"
        hint = 'quote an IPv6 address: "2001:db8::1"' if _cut_address(value) else ""
        wrong("wrong-type", f"{wanted} is expected here, not {found}", hint)
    return value


def _cut_address(value: Any) -> bool:
    return isinstance(value, dict) and any("::" in key or key.count(":") > 1 for key in value)


def _text(value: Any) -> str:
    return text_of(value, "text")


_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}").fullmatch
ID_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$"


def read_id(value: Any) -> str:
    text = text_of(value, "a name")
    if not _ID(text):
        wrong("bad-id", f"'{text}' is no name here", "1 to 63 of letters, digits, '.', '_' and '-'")
    return text


def _endpoint_name(value: Any) -> str:
    text = text_of(value, "a name")
    if len(text) > 253 or "/" in text or any(c.isspace() or not c.isprintable() for c in text):
        wrong("bad-id", f"'{text}' is no name for an endpoint", "no spaces, no '/', at most 253 letters")
    return text


DURATION_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d)?)+$"}],
    "description": "a duration: 20, 20s, 500ms, 5m, 1h30m",
}


def read_seconds(value: Any) -> float:
    text = text_of(value, "a duration")
    try:
        return duration.parse(text)
    except duration.BadDurationError:
        wrong("bad-duration", f"'{text}' is no duration", "write 20, 20s, 500ms, 5m, 1h30m")


def _seconds(low: float, high: float) -> Reads:
    def read(value: Any) -> float:
        seconds = read_seconds(value)
        if not low <= seconds <= high:
            wrong("out-of-range", f"'{value}' is not between {low:g}s and {high:g}s")
        return seconds

    return Reads(read, DURATION_SCHEMA)


def _whole_seconds(limit: int) -> Reads:
    def read(value: Any) -> int:
        seconds = read_seconds(value)
        if seconds != int(seconds):
            wrong("bad-duration", f"'{value}' is no whole number of seconds")
        if seconds > limit:
            wrong("out-of-range", f"'{value}' is longer than {limit} seconds")
        return int(seconds)

    return Reads(read, DURATION_SCHEMA)


_WHOLE = re.compile(r"\d{1,15}", re.ASCII).fullmatch


def read_whole(value: Any, low: int, high: int) -> int:
    text = text_of(value, "a whole number")
    if not _WHOLE(text):
        wrong("not-a-number", f"'{text}' is no whole number")
    if not low <= int(text) <= high:
        wrong("out-of-range", f"{text} is not between {low} and {high}")
    return int(text)


def whole(low: int, high: int) -> Reads:
    schema = {"type": ["integer", "string"], "minimum": low, "maximum": high, "pattern": r"^\d+$"}
    return Reads(lambda value: read_whole(value, low, high), schema)


_SHARE = re.compile(r"(\d{1,3}) +of +(\d{1,3})", re.ASCII).fullmatch


def _threshold(value: Any) -> tuple[int, int]:
    """`3` is (3, 0), three in a row; `3 of 5` is (3, 5)."""
    text = text_of(value, "a count")
    share = _SHARE(text)
    if share is None:
        return read_whole(text, 1, MAX_WINDOW), 0
    need, of = (read_whole(number, 1, MAX_WINDOW) for number in share.groups())
    if need > of:
        wrong("out-of-range", f"'{text}' asks for more than there are", f"did you mean {of} of {need}?")
    return need, of


def _flag(value: Any) -> bool:
    text = text_of(value, "true or false")
    if text not in ("true", "false"):
        wrong("not-a-flag", f"'{text}' is neither true nor false")
    return text == "true"


def one_of(*words: str) -> Reads:
    def read(value: Any) -> str:
        text = text_of(value, f"one of {', '.join(words)}")
        if text not in words:
            wrong("not-one-of", f"'{text}' is none of {', '.join(words)}")
        return text

    return Reads(read, {"enum": list(words)})


def read_address(value: Any) -> str:
    text = text_of(value, "an IPv4 or IPv6 address")
    try:
        address = ip_address(text)
    except ValueError:
        wrong("bad-address", f"'{text}' is no IPv4 or IPv6 address")
    if getattr(address, "scope_id", None):
        wrong("bad-address", f"'{text}' has a zone index, which means nothing to others")
    return str(address)


_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?").fullmatch


def _host(value: Any) -> str:
    text = text_of(value, "an address or a host name")
    if ":" in text or text.replace(".", "").isdigit():
        return read_address(text)
    if not _HOST(text) or len(text) > 253:
        wrong("bad-host", f"'{text}' is neither an address nor a host name")
    return text


def _network(value: Any) -> str:
    text = text_of(value, "a network")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        wrong("bad-network", f"'{text}' is no network", "write 203.0.113.0/24 or 2001:db8::/32")
    if "/" in text and str(network.network_address) != str(ip_address(text.partition("/")[0])):
        wrong("bad-network", f"'{text}' has bits set beyond its prefix", f"did you mean {network}?")
    return str(network)


def _asn(value: Any) -> int:
    text = text_of(value, "an AS number")
    digits = text[2:] if text[:2].upper() == "AS" else text
    if not _WHOLE(digits) or not 0 < int(digits) < 1 << 32:
        wrong("bad-asn", f"'{text}' is no AS number", "write 4134 or AS4134")
    return int(digits)


def _country(value: Any) -> str:
    text = text_of(value, "a country").upper()
    if text not in countries():
        hint = {"UK": "the United Kingdom is GB", "EU": "Europe is `continent: EU`"}.get(text, "")
        wrong("unknown-country", f"'{value}' is no ISO 3166-1 country code", hint or "two letters, as in CN")
    return text


def _continent(value: Any) -> str:
    text = text_of(value, "a continent").upper()
    if text not in CONTINENTS:
        wrong("unknown-continent", f"'{value}' is no continent", f"one of {', '.join(CONTINENTS)}")
    return text


_SUBDIVISION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}", re.ASCII).fullmatch


def _subdivision(value: Any) -> str:
    text = text_of(value, "a subdivision").upper()
    match = _SUBDIVISION(text)
    if match is None or match[1] not in countries():
        wrong("bad-subdivision", f"'{value}' is no ISO 3166-2 subdivision", "country and code, as in CN-GD")
    return text


def _city(value: Any) -> str:
    text = text_of(value, "a city")
    if text.isascii() and text.isdigit():
        return str(int(text))
    area, slash, town = text.partition("/")
    if not slash or not town.strip() or _SUBDIVISION(area.upper()) is None:
        wrong("bad-city", f"'{text}' is no city", "write CN-GD/Guangzhou or a GeoNames id such as 1809858")
    return f"{_subdivision(area)}/{town.strip()}"


_WORDS = {"type": "string"}
Text = Annotated[str, Reads(_text, _WORDS)]
Id = Annotated[str, Reads(read_id, {"type": "string", "pattern": ID_PATTERN})]
EndpointName = Annotated[str, Reads(_endpoint_name, _WORDS)]
Flag = Annotated[bool, Reads(_flag, {"type": "boolean"})]
Ttl = Annotated[int, _whole_seconds(MAX_TTL)]
Span = Annotated[int, _whole_seconds(0xFFFFFFFF)]
Interval = Annotated[float, _seconds(0.1, 86400)]
Wait = Annotated[float, _seconds(0, 3600)]
LongWait = Annotated[float, _seconds(0, 86400)]
Deadline = Annotated[float, _seconds(0.1, 10)]
Weight = Annotated[int, whole(0, MAX_WEIGHT)]
Tier = Annotated[int, whole(1, 100)]
Threshold = Annotated[
    tuple[int, int],
    Reads(_threshold, {"type": ["integer", "string"], "pattern": r"^\d+( +of +\d+)?$", "minimum": 1}),
]
Port = Annotated[int, whole(1, 65535)]
Unsigned32 = Annotated[int, whole(0, 0xFFFFFFFF)]
Address = Annotated[str, Reads(read_address, _WORDS)]
Host = Annotated[str, Reads(_host, _WORDS)]
Network = Annotated[str, Reads(_network, _WORDS)]
Asn = Annotated[int, Reads(_asn, {"type": ["integer", "string"]})]
Country = Annotated[str, Reads(_country, {"type": "string", "pattern": "^[A-Za-z]{2}$"})]
Continent = Annotated[str, Reads(_continent, {"enum": list(CONTINENTS)})]
Subdivision = Annotated[
    str, Reads(_subdivision, {"type": "string", "pattern": "^[A-Za-z]{2}-[A-Za-z0-9]{1,3}$"})
]
City = Annotated[str, Reads(_city, {"type": ["integer", "string"]})]
