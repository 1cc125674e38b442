"""docker/ fits together: without an engine to say so, its files are read and held against each other."""

from __future__ import annotations

import re
import sys
import tomllib
import types
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from geodns.config.settings import load_settings
from geodns.native import Availability

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "geodns.yaml").read_text(encoding="utf-8"))
    return loaded


def mounts(compose: dict[str, Any], service: str) -> dict[str, str]:
    """Where it is seen in the container -> where it comes from."""
    return {entry.split(":")[1]: entry.split(":")[0] for entry in compose["services"][service]["volumes"]}


def dockerfile(word: str) -> list[str]:
    """The arguments of every such instruction, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(word + " ")]


def stages() -> dict[str, str]:
    """What each stage of the image is made from, by its name; the last one has none."""
    return {name: base for base, _, name in (line.partition(" AS ") for line in dockerfile("FROM"))}


def test_what_compose_takes_from_here_is_here(compose: dict[str, Any]) -> None:
    build = compose["services"]["geodns"]["build"]
    context = (DOCKER / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]).is_file()
    sources = [source for service in compose["services"] for source in mounts(compose, service).values()]
    for source in sources:
        if source.startswith("."):
            assert (DOCKER / source).exists(), f"{source} is mounted, but not here"
        else:
            assert source in compose["volumes"], f"{source} is no named volume"


def test_secrets_have_a_folder_that_git_never_takes_them_from(compose: dict[str, Any]) -> None:
    for name, secret in compose["secrets"].items():
        folder = (DOCKER / secret["file"]).parent
        assert "*" in (folder / ".gitignore").read_text(encoding="utf-8").split("\n"), name
    updater = compose["services"]["geoipupdate"]
    files = [value for key, value in updater["environment"].items() if key.endswith("_FILE")]
    assert sorted(files) == [f"/run/secrets/{name}" for name in sorted(compose["secrets"])]
    assert sorted(updater["secrets"]) == sorted(compose["secrets"])


def test_the_updater_and_geodns_mean_the_same_databases(
    compose: dict[str, Any], settings: dict[str, Any]
) -> None:
    updater = compose["services"]["geoipupdate"]
    [(folder, volume)] = mounts(compose, "geoipupdate").items()
    assert mounts(compose, "geodns")[folder] == volume
    files = {
        f"{folder}/{edition}.mmdb" for edition in updater["environment"]["GEOIPUPDATE_EDITION_IDS"].split()
    }
    assert set(settings["databases"].values()) == files
    assert all(file in updater["healthcheck"]["test"] for file in files)
    assert compose["services"]["geodns"]["depends_on"]["geoipupdate"]["condition"] == "service_healthy"


def test_the_settings_are_ones_that_geodns_takes(compose: dict[str, Any]) -> None:
    loaded = load_settings(DOCKER / "geodns.yaml", {}, compose["services"]["geodns"]["environment"])
    assert {address.port for address in loaded.listen.dns} == {53}


def test_settings_and_mounts_agree(compose: dict[str, Any], settings: dict[str, Any]) -> None:
    places = mounts(compose, "geodns")
    [command] = dockerfile("CMD")
    config = re.search(r'"(/[^"]+\.yaml)"', command)
    assert config
    assert config[1] in places
    assert str(Path(config[1]).parent / settings["zones"]) in places
    [kept] = dockerfile("VOLUME")
    assert kept in places
    for path in (settings["state"], settings["admin"]["token_file"]):
        assert path.startswith(kept + "/"), f"{path} would be lost with the container"


def test_ports_agree_and_the_api_stays_on_the_host(compose: dict[str, Any], settings: dict[str, Any]) -> None:
    published = compose["services"]["geodns"]["ports"]
    assert {port.rsplit(":", 1)[1] for port in published} == {"53/udp", "53/tcp", "8053/tcp"}
    assert dockerfile("EXPOSE") == ["53/udp 53/tcp 8053/tcp"]
    assert all(address.endswith(":53") for address in settings["listen"]["dns"])
    assert settings["admin"]["listen"].endswith(":8053")
    assert all(port.startswith("127.0.0.1:") for port in published if port.endswith(":8053/tcp"))


def test_the_image_is_not_root_and_its_health_is_a_real_query() -> None:
    assert dockerfile("USER") == ["geodns"]
    assert any(re.search(r"useradd .*--uid [1-9]\d* .*\bgeodns$", command) for command in dockerfile("RUN"))
    [health] = dockerfile("HEALTHCHECK")
    assert re.search(r"CMD geodns ask \S+ SOA --server 127\.0\.0\.1:53$", health)


def test_what_the_image_copies_is_here_and_sent_to_the_builder() -> None:
    ignore = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    copied = [line for line in dockerfile("COPY") if not line.startswith("--from=")]
    sources = [name for line in copied for name in line.split()[:-1]]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore, f"{source} is copied, but the builder never sees it"


def test_the_image_runs_a_python_that_the_project_supports() -> None:
    bases = {base for stage, base in stages().items() if stage != "native"}
    assert len(bases) == 1
    version = re.search(r"python:3\.(\d+)", bases.pop())
    assert version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert int(version[1]) >= int(project["requires-python"].rsplit(".", 1)[1])
    assert project["license-files"] == ["LICENSE"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").split("\n")[1].strip() == "Apache License"


def test_rust_builds_the_native_lane_and_stays_behind() -> None:
    version = re.fullmatch(r"rust:1\.(\d+)-slim", stages()["native"])
    assert version
    crate = tomllib.loads((ROOT / "native" / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    assert int(version[1]) >= int(crate["rust-version"].rsplit(".", 1)[1])
    assert [line for line in dockerfile("COPY") if "--from=" in line] == ["--from=native /wheels /native"]
    assert list(stages())[-1] == "" and stages()[""].startswith("python:")
    last = (DOCKER / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert "from=native" not in last


def test_an_image_without_the_native_lane_is_none() -> None:
    """The extension is optional: a wheel without it would be no error by itself."""
    [check] = [command for command in dockerfile("RUN") if "geodns.native" in command]
    found = re.fullmatch(r'python -c "(.+)"', check)
    assert found
    for usable in (True, False):
        answers = types.SimpleNamespace(available=lambda usable=usable: Availability(usable, "it rains"))
        with (
            pytest.MonkeyPatch.context() as patched,
            nullcontext() if usable else pytest.raises(AssertionError, match="it rains"),
        ):
            patched.setitem(sys.modules, "geodns.native", answers)
            exec(found[1])


def test_what_cargo_has_made_here_is_not_sent_to_the_builder() -> None:
    ignore = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    assert ignore.index("native/target") > ignore.index("!native")
    assert ignore.index("**/*.so") > ignore.index("!geodns")
