"""Transfers out (RFC 5936, RFC 1995), with dnspython as the other side: who gets what, signed how."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest
from dns.message import Message
from dns.tsig import Key
from transfer_support import APEX, KEY, OTHER, Clock, bulky, compiled, peer, request, transfers

from geodns.core import wire
from geodns.core.compile.transfer import Content
from geodns.transfer.outgoing import Transfers, asked

US = "192.0.2.7"


def messages(served: Transfers, asking: Message, client: str = US) -> Iterator[bytes]:
    """The reply, message by message."""
    reply = served.reply(asking.to_wire(), client)
    assert reply is not None
    if isinstance(reply, bytes):
        yield reply
        return
    yield from reply


def received(
    served: Transfers, asking: Message, client: str = US, serial: int | None = None
) -> dns.zone.Zone:
    """The zone as a secondary takes it over: dnspython checks order, question, signatures, serials."""
    zone = dns.zone.Zone("z.test.")
    is_ixfr = asking.question[0].rdtype == dns.rdatatype.IXFR
    context = None
    with dns.xfr.Inbound(zone, asking.question[0].rdtype, serial) as inbound:
        done = False
        for raw in messages(served, asking, client):
            assert not done
            message = dns.message.from_wire(
                raw,
                keyring=asking.keyring,
                request_mac=asking.mac,
                xfr=True,
                origin=zone.origin,
                tsig_ctx=context,
                multi=True,
                one_rr_per_rrset=is_ixfr,
            )
            context = message.tsig_ctx
            done = inbound.process_message(message)
        assert done
    assert not asking.keyring or message.had_tsig
    return zone


def refused(served: Transfers, asking: Message, client: str = US) -> Message:
    """The one message that says no."""
    (raw,) = messages(served, asking, client)
    message = dns.message.from_wire(raw, keyring=asking.keyring, request_mac=asking.mac)
    assert asking.is_response(message)
    assert not message.answer
    return message


@pytest.mark.parametrize("key", [None, KEY, OTHER], ids=["unsigned", "sha256", "sha512"])
@pytest.mark.parametrize("rtype", ["AXFR", "IXFR"])
def test_a_zone_is_transferred_whole(tmp_path: Path, rtype: str, key: Key | None) -> None:
    served = transfers(made=compiled(tmp_path))
    serial = 6 if rtype == "IXFR" else None
    zone = received(served, request(rtype, key=key, serial=serial), serial=serial)
    assert sorted(zone.to_text().splitlines()) == [
        "@ 30 IN NS ns1",
        "@ 30 IN SOA ns1 hostmaster 7 7200 1800 1209600 30",
        "ns1 30 IN A 192.0.2.53",
        "static 30 IN A 192.0.2.1",
        "static 30 IN A 192.0.2.2",
        'static 30 IN TXT "hello"',
    ]
    assert served.results == {"complete": 1}


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
def test_many_messages_are_one_transfer_and_each_is_signed(key: Key | None) -> None:
    served = transfers(made=bulky(count=500))
    asking = request(key=key, use_edns=0)
    raw = list(messages(served, asking))
    assert len(raw) == 7
    heads = [dns.message.from_wire(one, continue_on_error=True, keyring=False) for one in raw]
    assert [head.had_tsig for head in heads] == [key is not None] * 7
    assert [head.edns for head in heads] == [0] + [-1] * 6
    assert {(head.id, head.flags, head.question[0].rdtype) for head in heads} == {
        (asking.id, dns.flags.QR | dns.flags.AA, dns.rdatatype.AXFR)
    }
    assert len(received(served, asking).find_rdataset("text", "TXT")) == 500


def test_a_transfer_goes_on_with_the_zone_it_began_with() -> None:
    served = transfers(made=bulky(serial=7))
    reply = served.reply(request().to_wire(), US)
    assert reply is not None and not isinstance(reply, bytes)
    first = next(reply)
    served.contents = {APEX: bulky(serial=8)}
    last = list(reply)[-1]
    assert [dns.message.from_wire(raw).answer[0][0].serial for raw in (first, last)] == [7, 7]


@pytest.mark.parametrize(
    ("held", "ours", "whole"),
    [
        (7, 7, False),
        (8, 7, False),
        (6, 7, True),
        (4294967295, 7, True),
        (7, 4294967295, False),
        (0, 1 << 31, True),  # neither is newer (RFC 1982 §3.2): the whole zone is never wrong
    ],
)
def test_ixfr_is_one_soa_where_the_serial_is_current(
    tmp_path: Path, held: int, ours: int, whole: bool
) -> None:
    served = transfers(made=compiled(tmp_path, serial=ours))
    (raw,) = messages(served, request("IXFR", key=KEY, serial=held))
    message = dns.message.from_wire(raw, keyring=False, continue_on_error=True, one_rr_per_rrset=True)
    assert message.answer[0][0].serial == ours
    assert len(message.answer) == (7 if whole else 1)
    assert served.results == {"complete" if whole else "current": 1}


def test_an_ixfr_that_names_no_serial_is_malformed(tmp_path: Path) -> None:
    served = transfers(made=compiled(tmp_path))
    assert refused(served, request("IXFR")).rcode() == dns.rcode.FORMERR
    short = request("IXFR").to_wire()
    record = b"\0" + b"\0\6\0\1" + bytes(4) + (4).to_bytes(2) + bytes(4)
    (raw,) = [served.reply(short[:8] + b"\0\1" + short[10:] + record, US)]
    assert isinstance(raw, bytes) and raw[3] & 15 == wire.FORMERR
    assert served.refusals == {"no serial": 2}


@pytest.mark.parametrize(
    ("client", "key", "zone", "rcode", "why"),
    [
        (US, KEY, "z.test.", 0, ""),
        ("2001:db8::1%eth0", None, "z.test.", 0, ""),
        ("198.51.100.1", KEY, "z.test.", dns.rcode.REFUSED, "address"),
        (US, None, "z.test.", dns.rcode.REFUSED, "key"),
        (US, OTHER, "z.test.", dns.rcode.REFUSED, "key"),
        ("2001:db8::1", KEY, "none.test.", dns.rcode.REFUSED, "zone"),
        (US, KEY, "none.test.", dns.rcode.REFUSED, "too long"),
        (US, KEY, "www.z.test.", dns.rcode.NOTAUTH, "not authoritative"),
        (US, KEY, "other.test.", dns.rcode.NOTAUTH, "not authoritative"),
    ],
)
def test_who_may_have_which_zone(
    tmp_path: Path, client: str, key: Key | None, zone: str, rcode: int, why: str
) -> None:
    served = transfers(peer(key=KEY), peer("2001:db8::/32", zones=[APEX]), made=compiled(tmp_path))
    asking = request(key=key, zone=zone)
    if rcode:
        message = refused(served, asking, client)
        assert (message.rcode(), message.had_tsig) == (rcode, key is not None)
        assert (served.refusals, served.results) == ({why: 1}, {})
    else:
        received(served, asking, client)
        assert not served.refusals


def test_the_case_of_the_question_is_kept(tmp_path: Path) -> None:
    served = transfers(made=compiled(tmp_path))
    (raw,) = messages(served, request(zone="Z.teST."))
    assert raw[12:20] == b"\1Z\4teST\0"


def raised(asking: Message, raw: bytes) -> type[Exception]:
    """What dnspython says of a reply whose TSIG record tells an error."""
    with pytest.raises(dns.exception.DNSException) as caught:
        dns.message.from_wire(raw, keyring=asking.keyring, request_mac=asking.mac)
    return caught.type


def told(raw: bytes) -> tuple[int, int, bytes, bytes]:
    """RCODE, and of the TSIG record the error, the MAC, and other data."""
    message = dns.message.from_wire(raw, keyring=False, continue_on_error=True)
    rdata = message.tsig[0]
    return message.rcode(), rdata.error, rdata.mac, rdata.other


def test_an_unknown_key_is_badkey_unsigned(tmp_path: Path) -> None:
    """RFC 8945 §5.2.1; a key of ours with another algorithm is another key."""
    served = transfers(made=compiled(tmp_path))
    for key in (Key("else", KEY.secret), Key(KEY.name, KEY.secret, "hmac-sha512")):
        asking = request(key=key)
        (raw,) = messages(served, asking)
        assert told(raw) == (dns.rcode.NOTAUTH, 17, b"", b"")
        assert raised(asking, raw) is dns.tsig.PeerBadKey
    assert served.refusals == {"BADKEY": 2}


def test_a_wrong_mac_is_badsig_unsigned_whatever_the_time(tmp_path: Path) -> None:
    """RFC 8945 §5.2.2; the key's name is compared as DNS does."""
    clock = Clock()
    served = transfers(made=compiled(tmp_path), clock=clock)
    for clock.ahead in (0, 1000):
        asking = request(key=Key("NSD", b"x" * 32))
        (raw,) = messages(served, asking)
        assert told(raw) == (dns.rcode.NOTAUTH, 16, b"", b"")
        assert raised(asking, raw) is dns.tsig.PeerBadSignature
    changed = bytearray(request(key=KEY).to_wire())
    changed[13] ^= 1
    bad = served.reply(bytes(changed), US)
    assert isinstance(bad, bytes) and told(bad)[:2] == (dns.rcode.NOTAUTH, 16)
    assert served.refusals == {"BADSIG": 3}


@pytest.mark.parametrize("ahead", [1000, -1000])
def test_another_time_is_badtime_signed_with_ours(tmp_path: Path, ahead: int) -> None:
    """RFC 8945 §5.2.3: the client's time is signed, the server's told beside it."""
    clock = Clock()
    served = transfers(made=compiled(tmp_path), clock=clock)
    clock.ahead = ahead
    asking = request(key=KEY)
    (raw,) = messages(served, asking)
    rcode, error, mac, other = told(raw)
    assert (rcode, error, len(mac)) == (dns.rcode.NOTAUTH, 18, 32)
    assert abs(int.from_bytes(other) - clock()) <= 1
    assert raised(asking, raw) is dns.tsig.PeerBadTime
    message = dns.message.from_wire(raw, keyring=False, continue_on_error=True)
    rdata = message.tsig[0]
    start = len(raw) - len(rdata.to_wire()) - 10 - len(KEY.name.to_wire())
    bare = raw[:10] + b"\0\0" + raw[12:start]
    again, _ = dns.tsig.sign(bare, KEY, rdata, rdata.time_signed, asking.mac)
    assert again.mac == mac
    clock.ahead = 299 if ahead > 0 else -299
    received(served, request(key=KEY))


def test_a_tsig_record_that_is_none_is_malformed(tmp_path: Path) -> None:
    served = transfers(made=compiled(tmp_path))
    whole = request(key=KEY).to_wire()
    start = len(request().to_wire())
    owner = len(KEY.name.to_wire())
    wrong = [
        whole[: start + owner + 3] + b"\1" + whole[start + owner + 4 :],  # of class IN
        whole[: start + owner + 7] + b"\1" + whole[start + owner + 8 :],  # with a TTL
        whole[:-4] + b"\0\x10" + whole[-2:],  # a request that tells an error
        whole[: start + owner + 8] + b"\0\x03" + b"\1\2\3",
        whole[:start] + b"\xc0\x0d" + whole[start + owner :],  # a name that is none
    ]
    for packet in wrong:
        reply = served.reply(packet, US)
        assert isinstance(reply, bytes) and reply[3] & 15 == wire.FORMERR, packet
    assert served.refusals == {"FORMERR": 5}


def test_a_message_without_room_for_a_signature_is_covered_by_the_next_one() -> None:
    """RFC 8945 §5.3.1: all but the first and the last may be unsigned."""
    small = bulky(count=100)
    soa = small.soa
    strings = (b"\xff" + b"x" * 255) * 255 + b"\x8b" + b"x" * 139
    text = b"\4huge\1z\4test\0" + b"\0\x10\0\1\0\0\0\x1e" + len(strings).to_bytes(2) + strings
    content = Content(APEX, 7, soa, ((1, soa), (1, text), small.chunks[1], (1, soa)))
    served = transfers(made=content)
    asking = request(key=KEY)
    raw = list(messages(served, asking))
    assert len(raw[1]) > 65_450
    heads = [dns.message.from_wire(one, continue_on_error=True, keyring=False) for one in raw]
    assert [head.had_tsig for head in heads] == [True, False, True, True]
    assert received(served, asking).find_rdataset("huge", "TXT")


def test_so_many_at_a_time_and_no_more() -> None:
    served = transfers(made=bulky(), limit=2)
    open_ = [served.reply(request().to_wire(), US) for _ in range(2)]
    assert refused(served, request(key=KEY)).rcode() == dns.rcode.REFUSED
    assert (served.running, served.refusals) == (2, {"limit": 1})
    for messages_ in open_:  # neither was ever begun to be taken
        assert messages_ is not None and not isinstance(messages_, bytes)
        messages_.close()
    assert (served.running, served.results) == (0, {"broken off": 2})
    received(served, request())


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(11),
        request("SOA").to_wire(),
        request("A").to_wire(),
        request(zone=".", rtype="A").to_wire(),
        request().to_wire()[:-3],
        b"\0\0\x28" + request().to_wire()[3:],  # UPDATE
        b"\0\0\x80" + request().to_wire()[3:],  # a reply
        request().to_wire()[:-2] + b"\0\3",  # CH
        request(use_edns=1).to_wire(),
        request().to_wire()[:4] + b"\0\2" + request().to_wire()[6:],
        bytes(7) + b"\1\0\0\0\1" + b"\0\0\xfc\0\1" + bytes(6) + b"\0\0\x29" + bytes(8),  # no question
    ],
)
def test_what_is_no_request_for_a_zone_is_left_to_others(packet: bytes) -> None:
    assert asked(packet) is None


def test_refusals_are_logged_but_no_more_than_one_a_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    clock.stand()
    served = transfers(peer(key=KEY), made=compiled(tmp_path), clock=clock)
    for _ in range(100):
        refused(served, request())
    assert capsys.readouterr().out.count("transfer refused") == 1
    clock.ahead += 1
    refused(served, request())
    assert capsys.readouterr().out.count("transfer refused") == 1
    assert served.refusals == {"key": 101}
