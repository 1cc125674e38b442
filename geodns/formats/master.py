"""Master files (RFC 1035 §5): read into a zone without steers, and a zone's static part written as one.

Reading is dnspython's, with its `$ORIGIN`, `$TTL` and `$GENERATE`; what is done with each record is ours, so
that nothing is dropped unsaid. `$INCLUDE` is not followed: what an imported file says, it says itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.tokenizer
import dns.zonefile

from geodns.core import names
from geodns.core.compile.rdata import DS, NS, SOA, canonical, is_data, present, type_name
from geodns.errors import ConfigError, Position, Problem, Severity
from geodns.model import RRset, Soa, Steer, Zone

MAX_RECORDS = 1_000_000  # of one file, what $GENERATE makes included
MAX_TTL = 0x7FFFFFFF
_SIGNED = frozenset({46, 47, 50})  # RRSIG, NSEC, NSEC3: a signer makes them anew
_NAMED = """
    A AAAA AFSDB APL CAA CDNSKEY CDS CERT CNAME CSYNC DHCID DNAME DNSKEY DS EUI48 EUI64 HINFO HTTPS IPSECKEY
    KEY KX L32 L64 LOC LP MX NAPTR NID NS NSEC3PARAM OPENPGPKEY PTR RP RT SMIMEA SPF SRV SSHFP SVCB TLSA TXT
    URI ZONEMD
"""
_PORTABLE = frozenset(_NAMED.split())  # NSD, Knot and BIND all read these by name, in dnspython's spelling
_DIRECTIVES = ("$ORIGIN", "$TTL", "$GENERATE")
_UNSAID = dns.name.Name((b"\0no origin", b""))  # stands for an origin that nobody gave
_WORDS = (  # dnspython's, in ours
    (re.compile(r"zone file directive '(\$INCLUDE)' is not allowed"), "{} is not followed"),
    (re.compile(r"zone file directive '(.*)' is not allowed"), "{} is no directive of master files"),
    (re.compile(r"(RR class) is not zone's class"), "the class is not IN, the only one that is served"),
    (re.compile(r"(Missing default TTL) value"), "the TTL is missing, and no $TTL is given"),
    (re.compile(r"unknown rdatatype '(.*)'"), "'{}' is no TTL, no class and no record type"),
    (re.compile(r'expected EOL or EOF, got \d+ "(.*)"'), "'{}' is more than the type holds"),
    (re.compile(r"(expecting .*)"), "data is missing or in another form: {}"),
    (re.compile(r"(generic) rdata does not start with .*"), r"the data can be written as \# length hex only"),
    (re.compile(r"('utf-8' codec) can't encode .*"), r"octets that are no UTF-8 are written \DDD"),
    (re.compile(r"caught exception <class '.*?'>: (.*)", re.DOTALL), "{}"),
)
_HINTS = {"$INCLUDE": "write one file first: named-compilezone -o flat.zone ZONE FILE"}


def read(
    text: str, file: str, origin: bytes | None = None, records: int = MAX_RECORDS
) -> tuple[Zone, tuple[Problem, ...]]:
    """The zone of a master file, its SOA's serial kept, and warnings about what it loses.

    Without `origin` (the folded apex) the owner of the SOA is it. Positions are lines of `file`. Raises
    ConfigError with one problem: what cannot be read, or more than `records` records.
    """
    text = text.replace("\r\n", "\n")
    apex = dns.name.from_wire(origin, 0)[0] if origin is not None else _soa_owner(text, file, records)
    found = _Records(file, names.fold(_wire(apex)), records)
    _run(text, file, apex, found)
    if found.soa is None:
        raise _error(
            "no-soa", f"the file has no SOA at {apex}", Position(file), "name the zone with --origin"
        )
    return Zone(found.apex, found.soa, found.rrsets(), (), ""), found.warnings()


def _soa_owner(text: str, file: str, records: int) -> dns.name.Name:
    first = _FirstSoa(file, records)
    try:
        _run(text, file, _UNSAID, first)
    except _FoundError as found:
        if not found.owner.is_subdomain(_UNSAID):
            return found.owner
    hint = "name the zone with --origin"
    raise _error("no-origin", "the file does not say which zone it is", Position(file), hint)


def _run(text: str, file: str, origin: dns.name.Name, found: _Sink) -> None:
    """Every record of the file to `found.add`; whatever cannot be read is a ConfigError with its line."""
    reader = _Reader(_Tokens(text, file, found), origin, found)
    try:
        reader.read()
    except (_FoundError, ConfigError):
        raise
    except Exception as error:  # dnspython raises its own, ValueError, UnicodeError, …
        told = re.sub(rf"^{re.escape(file)}:\d+: ", "", str(error)).rstrip(".")
        if told in ("", "Text input is malformed"):
            line = text.split("\n")[found.line - 1]
            told = f"'{line.strip()[:60]}' cannot be read"
        message, hint = _reworded(told)
        raise _error("unreadable", message, found.at, hint) from error


def _reworded(message: str) -> tuple[str, str]:
    """The message and a hint."""
    for pattern, words in _WORDS:
        found = pattern.fullmatch(message)
        if found:
            return words.format(found[1]), _HINTS.get(found[1], "")
    return message, ""


def _error(code: str, message: str, at: Position, hint: str = "") -> ConfigError:
    told = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(message.split()))
    return ConfigError((Problem(code, told, at, hint),))


def _wire(found: dns.name.Name | dns.rdata.Rdata) -> bytes:
    wire = found.to_wire()
    assert wire is not None  # it is where no file was given to write to
    return wire


class _Ascii(dns.name.IDNACodec):
    def encode(self, label: str) -> bytes:
        raise ValueError(f"'{label}' is not ASCII; write international names as xn--…")


class _FoundError(Exception):
    """Not a failure: the owner that was looked for ends the reading."""

    def __init__(self, owner: dns.name.Name) -> None:
        super().__init__(owner)
        self.owner = owner


class _Tokens(dns.tokenizer.Tokenizer):
    """dnspython's tokens; tells the sink in which line each record or directive begins."""

    def __init__(self, text: str, file: str, found: _Sink) -> None:
        super().__init__(text, file, idna_codec=_Ascii())  # type: ignore[no-untyped-call]
        self._found = found
        self.unquoted = False

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        if want_leading and want_comment:  # asked so only at the beginning of a line
            self._found.line = self.where()[1]
        token = super().get(want_leading, want_comment)
        if self.unquoted and token.is_quoted_string():
            return dns.tokenizer.Token(dns.tokenizer.IDENTIFIER, token.value)
        return token


class _Reader(dns.zonefile.Reader):
    """dnspython's reader, except that it drops no name for being out of the zone."""

    def __init__(self, tokens: _Tokens, origin: dns.name.Name, found: _Sink) -> None:
        super().__init__(tokens, dns.rdataclass.IN, cast(Any, found), allow_directives=_DIRECTIVES)
        self.zone_origin = dns.name.root
        self.current_origin = self.last_name = origin
        self._tokens = tokens

    def _generate_line(self) -> None:
        """With data in quotes too, as BIND reads it."""
        self._tokens.unquoted = True
        super()._generate_line()  # type: ignore[no-untyped-call]
        self._tokens.unquoted = False


class _Sink:
    """What dnspython's reader asks of a transaction."""

    def __init__(self, file: str, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.line = 0
        self.manager = self
        self._count = 0

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return dns.name.root, False, dns.name.root

    def check_put_rdataset(self, check: object) -> None:
        """CNAME beside other data is for `geodns check` to tell."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """$ORIGIN is the reader's own affair."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        self._count += 1
        if self._count > self.limit:
            self.stop("too-many", f"the file has more than {self.limit} records", "split the zone")
        self.take(name, ttl, rdata)

    def take(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        raise NotImplementedError

    @property
    def at(self) -> Position:
        return Position(self.file, self.line, 1)

    def stop(self, code: str, message: str, hint: str = "") -> NoReturn:
        raise _error(code, message, self.at, hint)


class _FirstSoa(_Sink):
    def take(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        if rdata.rdtype == SOA:
            raise _FoundError(name)


@dataclass(slots=True)
class _Values:
    """An RRset in the making: values by what makes them one."""

    ttl: int
    at: Position
    values: dict[bytes, bytes] = field(default_factory=dict)


class _Records(_Sink):
    def __init__(self, file: str, apex: bytes, limit: int) -> None:
        super().__init__(file, limit)
        self.apex = apex
        self.soa: Soa | None = None
        self.held: dict[tuple[bytes, int], _Values] = {}
        self._lost: dict[str, list[Position]] = {}

    def take(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        owner, rtype = names.fold(_wire(name)), int(rdata.rdtype)
        if ttl > MAX_TTL:
            self.lose("a TTL beyond 31 bits is taken for 0 (RFC 2181 §8)")
            ttl = 0
        if not names.is_below(owner, self.apex):
            self.lose(f"what lies outside the zone {names.to_text(self.apex)} is left out")
        elif rtype in _SIGNED:
            self.lose("geodns does not sign zones: RRSIG, NSEC and NSEC3 are left out")
        elif rtype == SOA:
            self._soa(owner, ttl, cast(dns.rdtypes.ANY.SOA.SOA, rdata))
        elif not is_data(rtype):
            self.stop("meta-type", f"{type_name(rtype)} is no type for data in a zone")
        else:
            self._add(owner, rtype, ttl, _wire(rdata))

    def _soa(self, owner: bytes, ttl: int, rdata: dns.rdtypes.ANY.SOA.SOA) -> None:
        if owner != self.apex:
            self.stop("soa-record", f"an SOA stands only at {names.to_text(self.apex)}")
        numbers = (rdata.serial, rdata.refresh, rdata.retry, rdata.expire, rdata.minimum)
        soa = Soa(_wire(rdata.mname), _wire(rdata.rname), *numbers, ttl)
        if self.soa not in (None, soa):
            self.stop("two-soas", "the zone has another SOA already", "remove one of them")
        self.soa = soa

    def _add(self, owner: bytes, rtype: int, ttl: int, rdata: bytes) -> None:
        held = self.held.setdefault((owner, rtype), _Values(ttl, self.at))
        if held.ttl != ttl:
            self.lose("an RRset with several TTLs gets the lowest (RFC 2181 §5.2)")
            held.ttl = min(held.ttl, ttl)
        held.values.setdefault(canonical(rtype, rdata), rdata)

    def lose(self, what: str) -> None:
        self._lost.setdefault(what, []).append(self.at)

    def warnings(self) -> tuple[Problem, ...]:
        """One for each kind of loss, at the first place, with how many there are."""
        return tuple(
            Problem("lost", what + (f", {len(at)} times" if len(at) > 1 else ""), at[0], "", Severity.WARNING)
            for what, at in self._lost.items()
        )

    def rrsets(self) -> tuple[RRset, ...]:
        return tuple(
            RRset(owner, rtype, held.ttl, tuple(held.values.values()), held.at)
            for (owner, rtype), held in self.held.items()
        )


def write(zone: Zone, serial: int) -> Iterator[str]:
    """The static part of a zone as the lines of a master file, every name whole; `serial` where it has none.

    A steered name is a comment: what it answers depends on who asks, and when. DS come first: BIND 9.18 takes
    one that follows an NS of the apex which names its owner for the apex's own.
    """
    apex, soa = _owner(zone.apex), zone.soa
    hosts = f"{_text(NS, soa.mname)} {_text(NS, soa.rname)}"
    numbers = (serial if soa.serial is None else soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
    yield f"{apex} {soa.ttl} IN SOA {hosts} {' '.join(map(str, numbers))}"
    for rrset in sorted(zone.rrsets, key=lambda r: (r.rtype != DS, r.owner != zone.apex, r.rtype != NS)):
        for rdata in rrset.rdata:
            yield f"{_owner(rrset.owner)} {rrset.ttl} IN {_data(rrset.rtype, rdata)}"
    for steer in zone.steers:
        yield f"; {_owner(steer.owner)} {steer.ttl} {_steered(steer)}"


def _steered(steer: Steer) -> str:
    answers = "all" if steer.answers is None else str(steer.answers)
    return f"is steered to pool {steer.pool} by policy {steer.policy}, {steer.pick.value}, answers {answers}"


def _data(rtype: int, rdata: bytes) -> str:
    """Type and data, by number where not every server has a name for the type (RFC 3597 §5)."""
    if type_name(rtype) in _PORTABLE:
        return f"{type_name(rtype)} {_text(rtype, rdata)}"
    return rf"TYPE{rtype} \# {len(rdata)} {rdata.hex()}".rstrip()


def _owner(name: bytes) -> str:
    return _text(NS, name)


def _text(rtype: int, rdata: bytes) -> str:
    """NSD 4.6 reads the two characters of an escaped backslash as three, hence its number."""
    return present(rtype, rdata).replace("\\\\", "\\092")
