"""From the settings to what clients are told and asked for; the secrets of cookies and their change."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geodns import app
from geodns.agreement import LASTS, Agreement
from geodns.config.secrets import MAX_COOKIE_SECRETS
from geodns.config.settings import load_settings
from geodns.core.terms import Terms
from geodns.errors import ConfigError, Position, Problem

ONE, TWO = "00112233445566778899aabbccddeeff", "E5E973E5A6B2A43F48E7DC849E37BFCF"


def agreement(
    folder: Path, text: str = "", environ: Mapping[str, str] | None = None, now: float = 0
) -> Agreement:
    path = folder / "geodns.yaml"
    path.write_text(text)
    numbers = count(1)
    return Agreement(load_settings(path, {}, {}), environ or {}, lambda n: next(numbers).to_bytes(n), now)


def secrets(agreed: Agreement) -> tuple[bytes, ...]:
    assert agreed.terms.cookies is not None
    return agreed.terms.cookies.secrets


def test_by_default_nothing_is_told_everybody_is_believed_and_cookies_are_given(tmp_path: Path) -> None:
    terms = agreement(tmp_path).terms
    assert terms.cookies is not None
    assert terms == Terms(cookies=terms.cookies, idle=100)
    assert not terms.cookies.require


def test_what_the_settings_say(tmp_path: Path) -> None:
    text = """
identity: {version: geodns, server: fra-1, nsid: fra}
cookies: {policy: off}
ecs: {resolvers: [198.51.100.0/24, 2001:db8::/32]}
limits: {tcp_idle: 30s}
extended_errors: {states: true}
transfer: {peers: {address: 127.0.0.1}}
"""
    assert agreement(tmp_path, text).terms == Terms(
        version=b"geodns",
        server=b"fra-1",
        nsid=b"fra",
        resolvers=(ip_network("198.51.100.0/24"), ip_network("2001:db8::/32")),
        idle=300,
        transfers=True,
        states=True,
    )


def test_a_time_too_long_for_keepalive_is_told_as_long_as_it_can_be(tmp_path: Path) -> None:
    assert agreement(tmp_path, "limits: {tcp_idle: 24h}").terms.idle == 0xFFFF


def test_a_server_makes_a_new_secret_each_day_and_accepts_yesterdays(tmp_path: Path) -> None:
    agreed = agreement(tmp_path, "cookies: {policy: require}", now=5.0)
    first = secrets(agreed)
    assert len(first) == 1
    assert not agreed.renew(5.0 + LASTS - 1)
    assert agreed.renew(5.0 + LASTS)
    second = secrets(agreed)
    assert second[1:] == first
    assert agreed.terms.cookies is not None
    assert agreed.terms.cookies.require
    assert not agreed.renew(6.0 + LASTS)
    assert agreed.renew(5.0 + 2 * LASTS)
    assert secrets(agreed)[1:] == second[:1]


def test_secrets_that_are_given_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "cookies"
    file.write_text(f"{ONE}\n")
    agreed = agreement(tmp_path, "cookies: {secrets: {file: cookies}}")
    assert secrets(agreed) == (bytes.fromhex(ONE),)
    assert not agreed.renew(10 * LASTS)
    file.write_text(f"{TWO}\n{ONE}\n")
    assert agreed.renew(0)
    assert secrets(agreed) == (bytes.fromhex(TWO), bytes.fromhex(ONE))
    file.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        agreed.renew(0)
    assert secrets(agreed) == (bytes.fromhex(TWO), bytes.fromhex(ONE))


def test_secrets_from_the_environment(tmp_path: Path) -> None:
    agreed = agreement(tmp_path, "cookies: {secrets: {env: COOKIES}}", {"COOKIES": f"{ONE} {TWO}"})
    assert secrets(agreed) == (bytes.fromhex(ONE), bytes.fromhex(TWO))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{ONE}\nx{ONE[1:]}", "line 2 is no secret of 32 hex digits"),
        (ONE[1:], "line 1 is no secret of 32 hex digits"),
        (f"{ONE}\n" * (MAX_COOKIE_SECRETS + 1), "there are more than 16 secrets"),
        ("", "is empty"),
    ],
)
def test_what_is_no_secret_is_told_with_what_to_do(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "cookies").write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        agreement(tmp_path, "cookies: {secrets: {file: cookies}}")
    assert str(tmp_path / "cookies") in str(caught.value)


async def test_what_is_wrong_with_them_is_told_once_until_it_is_another_thing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = iter(["none", "none", "none", "", "none", "bad", "bad"])
    agreed: list[Terms] = []

    def renew(now: float) -> bool:
        outcome = next(outcomes, None)
        if outcome is None:
            raise EOFError
        if outcome:
            raise ConfigError((Problem("bad-secret", outcome, Position("cookies")),))
        return True

    monkeypatch.setattr(app, "FOLLOW", 0)
    server: Any = SimpleNamespace(
        agreement=SimpleNamespace(renew=renew, terms=Terms()), replay=SimpleNamespace(agree=agreed.append)
    )
    with pytest.raises(EOFError):
        await app.Server._follow_secrets(server)
    told = capsys.readouterr().out
    assert [line.rpartition("cookies: ")[2].rstrip("'") for line in told.splitlines()] == [
        "none",
        "none",
        "bad",
    ]
    assert agreed == [Terms()]
