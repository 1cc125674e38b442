"""geodns.yaml: defaults, the file, the environment, flags; and what is told when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.config.settings import Listen, load_settings
from geodns.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "geodns.yaml"
    path.write_text(text)
    return path


def test_every_key_has_a_default() -> None:
    settings = load_settings(None, {}, {})
    assert settings.listen.dns == [Listen("0.0.0.0", 53), Listen("::", 53)]
    assert settings.admin.listen == Listen("127.0.0.1", 8053)
    assert (settings.ecs.widest.ipv4, settings.ecs.widest.ipv6) == (20, 40)
    assert (settings.startup_wait, settings.failover_budget) == (10.0, 30.0)
    assert (settings.limits.udp_payload, settings.limits.zone_bytes) == (1232, 64 << 20)
    assert settings.databases.city is None
    assert settings.databases.synthetic is False


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "limits: {probes: 1, places: 1, classes: 1}\nlog: {level: debug}")
    environ = {"GEODNS_LIMITS_PROBES": "2", "GEODNS_LIMITS_PLACES": "2", "GEODNS_LOG_LEVEL": "", "PATH": "x"}
    limits = load_settings(path, {"limits.probes": "3"}, environ).limits
    assert (limits.probes, limits.places, limits.classes) == (3, 2, 1)
    assert load_settings(path, {}, environ).log.level == "debug"


def test_relative_paths_are_below_whoever_wrote_them(tmp_path: Path) -> None:
    path = write(tmp_path, "state: var/state.sqlite\ndatabases: {city: /srv/City.mmdb}")
    settings = load_settings(path, {"lines": "mine.yaml"}, {})
    assert settings.state == tmp_path / "var/state.sqlite"
    assert settings.zones == tmp_path / "zones"
    assert settings.admin.token_file == tmp_path / "token"
    assert settings.databases.city == Path("/srv/City.mmdb")
    assert settings.lines == Path("mine.yaml")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5300", Listen("127.0.0.1", 5300)),
        ("[::1]:5300", Listen("::1", 5300)),
        ("::1", Listen("::1", 53)),
        ("127.0.0.1", Listen("127.0.0.1", 53)),
        ("127.0.0.1:0", Listen("127.0.0.1", 0)),
    ],
)
def test_addresses_to_listen_on(text: str, address: Listen) -> None:
    assert load_settings(None, {"listen.dns": text}, {}).listen.dns == [address]


def test_a_list_in_a_flag_has_commas() -> None:
    dns = load_settings(None, {"listen.dns": "127.0.0.1:1, [::1]:2"}, {}).listen.dns
    assert [str(address) for address in dns] == ["127.0.0.1:1", "[::1]:2"]


def test_everything_wrong_is_told_at_once_with_its_source(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "listen: {dns: localhost}\nlimits: {udp_payload: 99, zone_bytes: 1GB}\n"
        "databses: {}\nlog: {level: loud}\n",
    )
    with pytest.raises(ConfigError) as raised:
        load_settings(path, {"zone": "x", "limits.probes": "0"}, {"GEODNS_ADMIN_LISTEN": "foo"})
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in raised.value.problems] == [
        "--limits.probes: 0 is not between 1 and 100000",
        "--zone: there is no setting 'zone' (did you mean 'zones'?)",
        "geodns.yaml:1:15: 'localhost' is no address to listen on (write 127.0.0.1:53 or \"[::1]:53\")",
        "geodns.yaml:2:23: 99 is not between 512 and 4096",
        "geodns.yaml:2:39: '1GB' is no size (write 1048576 or 64MiB)",
        "geodns.yaml:3:1: unknown key 'databses' (did you mean 'databases'?)",
        "geodns.yaml:4:14: 'loud' is none of debug, info, warning, error",
        "GEODNS_ADMIN_LISTEN: 'foo' is no address to listen on (write 127.0.0.1:53 or \"[::1]:53\")",
    ]


def test_no_file_where_one_was_named_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml: cannot be read"):
        load_settings(tmp_path / "nope.yaml", {}, {})
