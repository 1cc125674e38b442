"""DNS Cookies: the vectors of RFC 9018, and what a server does with what clients bring (RFC 7873 §5.2)."""

from __future__ import annotations

from pathlib import Path

import dns.message
import pytest
from core_support import PAYLOAD, STREAM, Lab, Reply, query, subnet_option

from geodns.core import edns
from geodns.core.cookies import AHEAD, LIFETIME, RENEWED, Cookies
from geodns.core.terms import Terms

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = "198.51.100.100"
NOW = 1559731985
FILES = {
    "z.test.yaml": """
zone: z.test
nameservers: {ns: 192.0.2.53}
regions: {one: {}}
pools: {web: {policy: all, regions: {one: [192.0.2.1, 192.0.2.2]}}}
policies: {all: [{to: one}]}
records: {www: {steer: web}, static: {A: 192.0.2.9}}
"""
}


def test_a_learning_client_gets_the_cookie_of_rfc_9018_a_1() -> None:
    found = Cookies((SECRET,)).examine(bytes.fromhex("2464c4abcf10c957"), CLIENT, NOW)
    assert found is not None
    assert found.value.hex() == "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
    assert found.state == "new"


def test_the_same_client_comes_back_and_its_cookie_is_renewed_as_in_rfc_9018_a_2() -> None:
    brought = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
    found = Cookies((SECRET,)).examine(brought, CLIENT, 1559734385)
    assert found is not None
    assert found.value.hex() == "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"
    assert found.state == "good"


def test_reserved_octets_are_part_of_the_hash_as_in_rfc_9018_a_3() -> None:
    brought = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    found = Cookies((SECRET,)).examine(brought, "203.0.113.203", 1559734700)
    assert found is not None
    assert found.value.hex() == "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"
    assert state(Cookies((SECRET,)), brought, 0x5CF78F71 + 1, "203.0.113.203") == "good"


def test_a_cookie_for_ipv6_under_an_older_secret_is_good_and_renewed_as_in_rfc_9018_a_4() -> None:
    older, newer = (
        bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715"),
        bytes.fromhex("445536bcd2513298075a5d379663c962"),
    )
    brought = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    found = Cookies((newer, older)).examine(brought, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961)
    assert found is not None
    assert found.value.hex() == "22681ab97d52c298010000005cf7c609a6bb79d16625507a"
    assert (found.state, found.until) == ("good", 0)


def made(cookies: Cookies, at: int = NOW, client: str = CLIENT) -> bytes:
    found = cookies.examine(b"abcdefgh", client, at)
    assert found is not None
    return found.value


def state(cookies: Cookies, value: bytes, at: int = NOW, client: str = CLIENT) -> str:
    found = cookies.examine(value, client, at)
    return "malformed" if found is None else found.state


@pytest.mark.parametrize(
    ("age", "good"), [(0, True), (LIFETIME, True), (LIFETIME + 1, False), (-AHEAD, True), (-AHEAD - 1, False)]
)
def test_a_cookie_is_good_for_an_hour_and_from_clocks_five_minutes_ahead(age: int, good: bool) -> None:
    cookies = Cookies((SECRET,))
    assert state(cookies, made(cookies), NOW + age) == ("good" if good else "bad")


def test_the_clock_of_cookies_goes_round_with_32_bits() -> None:
    cookies, turn = Cookies((SECRET,)), 1 << 32
    assert state(cookies, made(cookies, turn - 100), turn + 100) == "good"
    assert state(cookies, made(cookies, turn + 100), turn - 100) == "good"


def test_a_cookie_stays_the_same_for_half_an_hour() -> None:
    cookies = Cookies((SECRET,))
    value = made(cookies)
    for age in (0, 1, RENEWED):
        found = cookies.examine(value, CLIENT, NOW + age)
        assert found is not None
        assert (found.value, found.until) == (value, NOW + RENEWED + 1)
    later = cookies.examine(value, CLIENT, NOW + RENEWED + 1)
    assert later is not None
    assert (later.value, later.until) == (made(cookies, NOW + RENEWED + 1), 0)


@pytest.mark.parametrize("bit", range(8 * 8, 24 * 8, 5))
def test_a_cookie_with_another_bit_is_bad(bit: int) -> None:
    cookies = Cookies((SECRET,))
    value = bytearray(made(cookies))
    value[bit // 8] ^= 1 << bit % 8
    assert state(cookies, bytes(value)) == "bad"


def test_a_cookie_is_bad_for_another_address_another_client_cookie_and_another_secret() -> None:
    cookies = Cookies((SECRET,))
    value = made(cookies)
    assert state(cookies, value, client="198.51.100.101") == "bad"
    assert state(cookies, b"ABCDEFGH" + value[8:]) == "bad"
    assert state(Cookies((bytes(16),)), value) == "bad"


@pytest.mark.parametrize("size", range(42))
def test_the_sizes_of_rfc_7873_4(size: int) -> None:
    told = state(Cookies((SECRET,)), bytes(size))
    assert told == ("new" if size == 8 else "bad" if 16 <= size <= 40 else "malformed")


@pytest.mark.parametrize("secrets", [(), (b"short",), (SECRET, bytes(17))])
def test_secrets_have_16_octets(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="16 octets"):
        Cookies(secrets)


# what the server does with them


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab.of(tmp_path, FILES, terms=Terms(cookies=Cookies((SECRET,))))
    lab.now = NOW
    return lab


def strict(tmp_path: Path) -> Lab:
    lab = Lab.of(tmp_path, FILES, terms=Terms(cookies=Cookies((SECRET,), require=True)))
    lab.now = NOW
    return lab


def asked(value: bytes | None = b"abcdefgh", name: str = "static.z.test") -> bytes:
    return query(name, edns=1232, options=b"" if value is None else edns.option(edns.COOKIE, value))


def empty(value: bytes | None) -> bytes:
    """A query without a question (RFC 7873 §5.4)."""
    option = b"" if value is None else edns.option(edns.COOKIE, value)
    return b"\x12\x34\1\0\0\0\0\0\0\0\0\1\0\0\x29\4\xd0\0\0\0\0" + len(option).to_bytes(2) + option


def told(raw: bytes | None) -> tuple[str, bytes | None]:
    """A reply's RCODE and cookie."""
    reply = Reply(raw or b"")
    cookies = [o.to_wire() for o in reply.message.options if o.otype == edns.COOKIE]
    assert len(cookies) <= 1
    return reply.rcode, cookies[0] if cookies else None


def test_who_brings_a_cookie_gets_a_whole_one_with_the_answer(lab: Lab) -> None:
    rcode, cookie = told(lab.reply(asked(), CLIENT))
    assert rcode == "NOERROR"
    assert cookie == made(Cookies((SECRET,)))
    assert told(lab.reply(asked(cookie), CLIENT)) == ("NOERROR", cookie)
    assert told(lab.reply(asked(None), CLIENT)) == ("NOERROR", None)


@pytest.mark.parametrize("name", ["static.z.test", "www.z.test", "none.z.test", "other.test"])
def test_every_answer_carries_it(lab: Lab, name: str) -> None:
    for subnet in (None, "10.1.0.0/16"):
        option = edns.option(edns.COOKIE, b"abcdefgh")
        packet = query(name, subnet=subnet, options=option)
        assert told(lab.reply(packet, CLIENT))[1] == made(Cookies((SECRET,)))
        known = query(name, subnet=subnet, options=edns.option(edns.COOKIE, made(Cookies((SECRET,)))))
        first = lab.reply(known, CLIENT)
        assert lab.reply(known, CLIENT) == first
        assert told(first)[1] == made(Cookies((SECRET,)))


def test_what_is_remembered_of_one_source_says_nothing_of_another(lab: Lab) -> None:
    cookie = made(Cookies((SECRET,)))
    packet = asked(cookie, "www.z.test")
    for _ in range(3):
        assert told(lab.reply(packet, CLIENT)) == ("NOERROR", cookie)
        other = told(lab.reply(packet, "198.51.100.7"))[1]
        assert other == made(Cookies((SECRET,)), client="198.51.100.7")


def test_what_is_remembered_is_renewed_when_its_time_has_come(lab: Lab) -> None:
    cookie = made(Cookies((SECRET,)))
    packet = asked(cookie, "www.z.test")
    for later in (0, 0, RENEWED, RENEWED + 1, RENEWED + 1, LIFETIME + 1):
        lab.now = NOW + later
        fresh = cookie if later <= RENEWED else made(Cookies((SECRET,)), lab.now)
        assert told(lab.reply(packet, CLIENT)) == ("NOERROR", fresh)


@pytest.mark.python_lane
def test_only_good_cookies_take_room_in_the_memory(lab: Lab) -> None:
    for i in range(50):
        lab.reply(asked(i.to_bytes(8)), CLIENT)
        lab.reply(asked(i.to_bytes(16)), CLIENT)
    assert not lab.replay.tails.young
    lab.reply(asked(made(Cookies((SECRET,)))), CLIENT)
    assert len(lab.replay.tails.young) == 1
    assert lab.replay.reception.cookies == {"new": 50, "bad": 50, "good": 1}


@pytest.mark.parametrize("size", [0, 7, 9, 15, 41])
def test_a_cookie_of_another_size_is_a_format_error(lab: Lab, size: int) -> None:
    assert told(lab.reply(asked(bytes(size)), CLIENT)) == ("FORMERR", None)
    assert lab.replay.reception.aside == {"cookie option": 1}


def test_without_cookies_the_option_is_unknown(tmp_path: Path) -> None:
    lab = Lab.of(tmp_path, FILES)
    assert told(lab.reply(asked(bytes(7)), CLIENT)) == ("NOERROR", None)
    assert told(lab.reply(empty(b"abcdefgh"), CLIENT)) == ("FORMERR", None)


def test_a_strict_server_sends_who_has_no_good_cookie_to_come_again(tmp_path: Path) -> None:
    lab = strict(tmp_path)
    rcode, cookie = told(lab.reply(asked(), CLIENT))
    assert (rcode, cookie) == ("BADCOOKIE", made(Cookies((SECRET,))))
    assert not dns.message.from_wire(lab.reply(asked(), CLIENT) or b"").answer
    assert told(lab.reply(asked(cookie), CLIENT)) == ("NOERROR", cookie)
    assert told(lab.reply(asked(bytes(24)), CLIENT))[0] == "BADCOOKIE"
    assert told(lab.reply(asked(None), CLIENT)) == ("NOERROR", None), "§5.2.1: as if there were no cookies"
    assert told(lab.reply(asked(), CLIENT, STREAM))[0] == "NOERROR", "TCP is proof enough"


@pytest.mark.parametrize(
    ("value", "rcode"), [(b"abcdefgh", "NOERROR"), (bytes(24), "BADCOOKIE"), (None, "FORMERR")]
)
def test_a_query_may_be_for_a_cookie_alone(lab: Lab, value: bytes | None, rcode: str) -> None:
    reply = lab.reply(empty(value), CLIENT)
    assert told(reply)[0] == rcode
    assert reply is not None
    assert (
        reply[:12]
        == b"\x12\x34\x81" + bytes([{"NOERROR": 0, "FORMERR": 1, "BADCOOKIE": 7}[rcode]]) + bytes(7) + b"\1"
    )
    assert told(lab.reply(empty(made(Cookies((SECRET,)))), CLIENT))[0] == "NOERROR"


def test_who_brought_a_good_cookie_is_known(lab: Lab) -> None:
    knows = lab.replay.reception.knows
    cookie = made(Cookies((SECRET,)))
    assert knows(asked(cookie), CLIENT, NOW)
    assert not knows(asked(cookie), "198.51.100.7", NOW)
    assert not knows(asked(), CLIENT, NOW)
    assert not knows(asked(None), CLIENT, NOW)
    assert not knows(query("static.z.test"), CLIENT, NOW)
    assert not knows(asked(bytes(7)), CLIENT, NOW)
    assert not knows(b"", CLIENT, NOW)
    assert not knows(asked(cookie)[:-1], CLIENT, NOW)
    assert not knows(query("z.test", options=subnet_option("10.0.0.0/8")[:-1] + b""), CLIENT, NOW)


def test_without_cookies_nobody_is_known(tmp_path: Path) -> None:
    assert not Lab.of(tmp_path, FILES).replay.reception.knows(asked(made(Cookies((SECRET,)))), CLIENT, NOW)


def test_a_reply_with_cookie_and_subnet_keeps_to_the_limit(lab: Lab) -> None:
    cookie = edns.option(edns.COOKIE, made(Cookies((SECRET,))))
    for edns_size in (512, PAYLOAD):
        packet = query("www.z.test", subnet="2001:db8::/56", edns=edns_size, options=cookie)
        for _ in range(3):
            reply = lab.reply(packet, CLIENT)
            assert reply is not None
            assert len(reply) <= edns_size
