"""Ordinary queries with a TSIG record (RFC 8945): answered as without it, the reply signed."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest
from core_support import Lab
from dns.tsig import Key
from transfer_support import KEY, OTHER, Clock, request

from geodns.core.replay import STREAM
from geodns.transfer.signed import SignedQueries
from geodns.transfer.tsig import Keyring

FILE = """
zone: z.test
ttl: 30
nameservers: {ns1: 192.0.2.53}
records:
  small: {TXT: hello}
  floor: {TXT: TEXT}
""".replace("TEXT", "x" * 400)
US = "192.0.2.7"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab.of(tmp_path_factory.mktemp("zones"), {"z.yaml": FILE})
    signed = SignedQueries(Keyring([KEY, OTHER], 1232), 1232)
    made.replay.sign(lambda arrival, start: signed.reply(arrival, start, made.replay.answer))
    made.signed = signed
    return made


def answered(lab: Lab, asking: dns.message.Message, limit: int = 1232) -> dns.message.Message:
    reply = lab.replay.answer(asking.to_wire(), US, limit, 0, Clock()())
    assert reply is not None
    assert len(reply) <= limit
    found = dns.message.from_wire(reply, keyring=asking.keyring, request_mac=asking.mac)
    assert found.had_tsig
    assert asking.is_response(found)
    return found


@pytest.mark.parametrize("key", [KEY, OTHER], ids=["sha256", "sha512"])
@pytest.mark.parametrize(
    ("name", "rtype", "rcode"),
    [
        ("z.test.", "SOA", dns.rcode.NOERROR),
        ("nowhere.z.test.", "A", dns.rcode.NXDOMAIN),
        ("other.test.", "A", dns.rcode.REFUSED),
    ],
)
def test_the_answer_is_the_same_and_signed(lab: Lab, key: Key, name: str, rtype: str, rcode: int) -> None:
    for edns in (-1, 0):
        asking = request(rtype, zone=name, use_edns=edns)
        plain = lab.replay.answer(asking.to_wire(), US, 1232, 0, Clock()())
        assert plain is not None
        expected = dns.message.from_wire(plain)
        asking.use_tsig(key)
        found = answered(lab, asking)
        assert found.rcode() == rcode
        assert (found.answer, found.authority, found.flags) == (
            expected.answer,
            expected.authority,
            expected.flags,
        )
        assert found.edns == expected.edns == edns


def test_a_reply_that_the_signature_makes_too_long_is_truncated_and_signed(lab: Lab) -> None:
    """RFC 8945 §5.3: TC, the question and the signature."""
    asking = request("TXT", zone="floor.z.test.", key=OTHER)
    found = answered(lab, asking, 512)
    assert found.flags & dns.flags.TC
    assert found.flags & dns.flags.AA
    assert not found.answer
    assert answered(lab, asking, STREAM).answer
    assert answered(lab, request("TXT", zone="floor.z.test.", key=OTHER, use_edns=0)).answer
    assert answered(lab, request("TXT", zone="small.z.test.", key=KEY, use_edns=0, payload=100)).answer
    tight = answered(lab, request("TXT", zone="floor.z.test.", key=OTHER, use_edns=0, payload=100), 1232)
    assert (bool(tight.flags & dns.flags.TC), tight.edns) == (True, 0)


def test_what_cannot_be_verified_is_not_answered(lab: Lab) -> None:
    asking = request("SOA", key=Key("nsd", b"wrong"))
    reply = lab.replay.answer(asking.to_wire(), US, 1232, 0, Clock()())
    assert reply is not None
    found = dns.message.from_wire(reply, keyring=False, continue_on_error=True)
    assert (found.rcode(), found.tsig[0].error, found.answer) == (dns.rcode.NOTAUTH, 16, [])
    assert lab.signed.refusals == {"BADSIG": 1}


def test_a_refusal_too_long_for_a_datagram_leads_to_tcp(lab: Lab) -> None:
    label, end = "k" * 63 + ".", "k" * 50 + "."
    asking = request("A", zone=label * 3 + end)
    asking.use_tsig(Key(label * 3 + end, b"n" * 32, "hmac-sha512"))
    packet = asking.to_wire()
    short, whole = (lab.replay.answer(packet, US, limit, 0, Clock()()) or b"" for limit in (1232, STREAM))
    assert len(whole) > 512 >= len(short)
    told = dns.message.from_wire(short)
    assert (told.rcode(), bool(told.flags & dns.flags.TC), told.had_tsig) == (dns.rcode.NOTAUTH, True, False)
    assert dns.message.from_wire(whole, keyring=False).tsig_error == dns.rcode.BADKEY
