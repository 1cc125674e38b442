"""The settings of transfers: what is wrong with them is told with its place, before anything starts."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from pathlib import Path

import pytest

from geodns.cli import run
from geodns.config.settings import Settings, load_settings
from geodns.core import names
from geodns.errors import ConfigError
from geodns.secondaries import Secondaries

SECRET = base64.b64encode(bytes(range(32)))


def settings(folder: Path, text: str, secret: bytes = SECRET) -> Settings:
    (folder / "key").write_bytes(secret)
    (folder / "key").chmod(0o600)
    (folder / "geodns.yaml").write_text(f"transfer:\n{text}")
    return load_settings(folder / "geodns.yaml", {}, {})


def made(folder: Path, text: str, secret: bytes = SECRET) -> Secondaries:
    return Secondaries(settings(folder, text, secret), {"KEY": SECRET.decode()}, lambda: 0)


def test_keys_and_peers_are_what_the_file_says(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        "  keys: {nsd: {secret: {file: key}}, bind: {algorithm: hmac-sha512, secret: {env: KEY}}}\n"
        "  peers:\n"
        "    - {address: 192.0.2.7, key: nsd, notify: 192.0.2.7}\n"
        '    - {address: "2001:db8::/32", key: bind, notify: "[2001:db8::1]:5353", zones: Z.test}\n'
        "    - {address: 198.51.100.0/24}\n",
        SECRET[:10] + b"\n" + SECRET[10:] + b"\n",
    )
    first, second, third = found.peers
    assert first.key is not None and second.key is not None
    assert (first.key.secret, str(first.key.algorithm)) == (bytes(range(32)), "hmac-sha256.")
    assert (second.key.secret, str(second.key.algorithm)) == (bytes(range(32)), "hmac-sha512.")
    assert (first.network, first.notify, first.zones) == (ip_network("192.0.2.7"), ("192.0.2.7", 53), None)
    assert (second.notify, second.zones) == (("2001:db8::1", 5353), {names.from_text("z.test.")})
    assert (third.key, third.notify) == (None, None)
    assert found.zones is None
    assert "AAEC" not in repr(found.peers)  # no secret gets into a log by accident


@pytest.mark.parametrize(
    ("peers", "zones"),
    [
        ("{}", frozenset()),
        ("{peers: {address: 192.0.2.7}}", None),
        ("{peers: {address: 192.0.2.7, zones: a}}", {b"\1a\0"}),
        ('{peers: [{address: 192.0.2.7, zones: [a, B]}, {address: "::1", zones: a}]}', {b"\1a\0", b"\1b\0"}),
        ('{peers: [{address: 192.0.2.7, zones: a}, {address: "::1"}]}', None),
    ],
)
def test_only_what_somebody_may_transfer_is_kept_for_it(tmp_path: Path, peers: str, zones: object) -> None:
    assert made(tmp_path, f"  {peers}").zones == zones


def test_wrong_references_are_told_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        settings(
            tmp_path,
            "  keys:\n"
            "    nsd: {secret: {file: key}}\n"
            "    NSD: {secret: {file: key}}\n"
            "    a..b: {secret: {file: key}}\n"
            "  peers:\n"
            "    - {address: 192.0.2.7, key: nds, zones: [a.test, b..test]}\n",
        )
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in raised.value.problems] == [
        "geodns.yaml:4:5: there are two keys of the name 'NSD': case does not count",
        "geodns.yaml:5:5: 'a..b' has an empty label",
        "geodns.yaml:7:33: there is no key 'nds' (did you mean 'nsd'?)",
        "geodns.yaml:7:54: 'b..test' has an empty label",
    ]


def test_every_secret_that_is_not_to_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        made(
            tmp_path,
            "  keys: {a: {secret: {file: key}}, b: {secret: {file: none}}, c: {secret: {env: NONE}}}",
            b"no base64!",
        )
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in raised.value.problems] == [
        "key: the secret of the key 'a' is no base64 (openssl rand -base64 32 makes one)",
        "none: the secret cannot be read: No such file or directory",
        "NONE: the variable is not set, but geodns.yaml takes a secret from it",
    ]


def test_check_tells_of_secrets_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings(tmp_path, "  keys: {a: {secret: {file: key}}, b: {secret: {file: open}}}", b"?")
    (tmp_path / "open").write_bytes(SECRET)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "z.yaml").write_text("zone: z.test\nnameservers: {ns1: 192.0.2.53}\n")
    assert run(["check", str(tmp_path / "geodns.yaml")]) == 1
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines() == [
        "open: warning: every user of this machine can read this secret (chmod o-rwx open)",
        "key: the secret of the key 'a' is no base64 (openssl rand -base64 32 makes one)",
        "1 error, 1 warning",
    ]
