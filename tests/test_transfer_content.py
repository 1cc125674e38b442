"""What a transfer holds: everything static, and of steered names what a client of unknown place is told."""

from __future__ import annotations

from pathlib import Path

import dns.message
import dns.rdatatype
import pytest
from core_support import Lab, query
from transfer_support import compiled

from geodns.config.load import load
from geodns.core import names, wire
from geodns.core.compile import transfer
from geodns.core.compile.transfer import CHUNK, Content

STEERED = """
zone: z.test
ttl: 30
nameservers: {ns1: 192.0.2.53}
regions: {east: {at: [50, 10]}, west: {at: [40, -120]}, spare: {}}
policies:
  near: [{when: {country: DE}, to: west}, {to: [{east: 75, west: 25}, spare]}]
  order: [{to: [west, east]}]
checks: {web: {type: http}}
pools:
  web:
    check: web
    policy: near
    regions:
      east:
        - {address: [192.0.2.1, "2001:db8::1"], weight: 3}
        - {name: again, address: 192.0.2.1}
        - {name: standby, address: 192.0.2.3, tier: 2}
      west: [{address: [192.0.2.2, "2001:db8::2"]}]
      spare: 192.0.2.9
  cdn: {policy: order, regions: {east: [{target: e.example.net.}], west: [{target: w.example.net.}]}}
records:
  www: {steer: {pool: web, ttl: 15}, TXT: beside}
  img: {steer: cdn}
"""
STATIC = """
zone: z.test
ttl: 30
nameservers: {ns1: [192.0.2.53, "2001:db8::53"]}
soa: {mname: ns1, rname: root@z.test, refresh: 1, retry: 2, expire: 3, minimum: 4, ttl: 5}
records:
  "@": {MX: 10 Mail}
  "*.wild": {TXT: {ttl: 7, values: [one, two]}}
  sub: {NS: ns.sub.z.test., DS: 1 8 2 0000000000000000000000000000000000000000000000000000000000000000}
  ns.sub: {A: 192.0.2.54}
  hidden.sub: {TXT: occluded}
  moved: {DNAME: other.test.}
  odd: {TYPE65280: '\\# 3 010203'}
"""


def told(content: Content) -> list[str]:
    """The records as text, in their order, read back by dnspython."""
    lines = []
    for count, body in content.chunks:
        head = bytes(2) + b"\x84\0\0\0" + count.to_bytes(2) + bytes(4)
        message = dns.message.from_wire(head + body, one_rr_per_rrset=True)
        assert len(message.answer) == count
        lines += [rrset.to_text() for rrset in message.answer]
    return lines


def test_all_static_records_are_there_glue_and_occluded_data_too(tmp_path: Path) -> None:
    found = told(compiled(tmp_path, STATIC, serial=4294967295))
    soa = "z.test. 5 IN SOA ns1.z.test. root.z.test. 4294967295 1 2 3 4"
    assert (found[0], found[1], found[-1]) == (soa, "z.test. 30 IN NS ns1.z.test.", soa)
    assert sorted(found[2:-1]) == [
        '*.wild.z.test. 7 IN TXT "one"',
        '*.wild.z.test. 7 IN TXT "two"',
        'hidden.sub.z.test. 30 IN TXT "occluded"',
        "moved.z.test. 30 IN DNAME other.test.",
        "ns.sub.z.test. 30 IN A 192.0.2.54",
        "ns1.z.test. 30 IN A 192.0.2.53",
        "ns1.z.test. 30 IN AAAA 2001:db8::53",
        "odd.z.test. 30 IN TYPE65280 \\# 3 010203",
        "sub.z.test. 30 IN DS 1 8 2 " + "0" * 64,
        "sub.z.test. 30 IN NS ns.sub.z.test.",
        "z.test. 30 IN MX 10 Mail.z.test.",
    ]


def test_of_a_steered_name_the_first_step_of_who_is_in_no_place_all_its_addresses_once(
    tmp_path: Path,
) -> None:
    """Both regions of the split, the first tier; one target. Not the rule for a place, not the standby."""
    found = [line for line in told(compiled(tmp_path, STEERED)) if line.startswith(("www", "img"))]
    assert found == [
        'www.z.test. 30 IN TXT "beside"',
        "www.z.test. 15 IN A 192.0.2.1",
        "www.z.test. 15 IN A 192.0.2.2",
        "www.z.test. 15 IN AAAA 2001:db8::1",
        "www.z.test. 15 IN AAAA 2001:db8::2",
        "img.z.test. 30 IN CNAME w.example.net.",
    ]


def test_whoever_is_in_no_place_is_told_nothing_else_while_all_is_up(tmp_path: Path) -> None:
    records = {
        line for line in told(compiled(tmp_path, STEERED)) if line.startswith("www") and " TXT " not in line
    }
    lab = Lab(load(tmp_path))
    for rtype in ("A", "AAAA"):
        seen = set()
        for chance in range(0, 1 << 32, 1 << 26):
            reply = lab.replay.answer(query("www.z.test", rtype), "203.0.113.1", 65535, chance, 1000)
            assert reply is not None
            seen |= {str(rrset) for rrset in dns.message.from_wire(reply).answer}
        assert seen == {line for line in records if f" {rtype} " in line}


@pytest.mark.parametrize("count", [1, 500, 5000])
def test_the_messages_are_full_but_not_too_full(tmp_path: Path, count: int) -> None:
    values = "\n".join(f"  n{number}: {{TXT: {'x' * 90}}}" for number in range(count))
    content = compiled(
        tmp_path, f"zone: z.test\nttl: 30\nnameservers: {{ns1: 192.0.2.53}}\nrecords:\n{values}"
    )
    sizes = [len(body) for _, body in content.chunks]
    assert all(size <= CHUNK for size in sizes)
    assert all(size > CHUNK - 200 for size in sizes[:-1])
    assert len(told(content)) == count + 4


def test_long_records_have_a_message_of_their_own_and_the_first_soa_none(tmp_path: Path) -> None:
    """A lone SOA in the first message would tell an IXFR client that nothing has changed (RFC 1995 §4)."""
    text = "x" * 60_000
    content = compiled(
        tmp_path,
        f"zone: z.test\nttl: 30\nnameservers: {{ns1: 192.0.2.53}}\n"
        f"records: {{a: {{TXT: {text}}}, b: {{TXT: {text}}}, c: {{A: 192.0.2.1}}}}",
    )
    assert [count for count, _ in content.chunks] == [2, 1, 1, 3]
    assert content.chunks[0][1].startswith(content.soa)
    assert content.chunks[0][1][len(content.soa) :].startswith(
        names.from_text("z.test.") + b"\0" + bytes([wire.NS])
    )


def test_a_zone_beyond_all_bounds_has_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(tmp_path)
    monkeypatch.setattr(transfer, "MAX_CONTENT", 200)
    model = load(tmp_path)
    assert transfer.content(model.zones[0], model, 1) is None
