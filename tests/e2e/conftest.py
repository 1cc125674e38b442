"""Servers and endpoints that end with the test, or the file, that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from e2e_support import Origin, Server
from resolver_support import MAKES, Resolver

from geodns.demo.databases import FILES, build
from geodns.native import available


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever starts servers does so in both lanes, where there are both."""
    if hasattr(metafunc.module, "Server") and not hasattr(metafunc.module, "LANES_OF_ITS_OWN"):
        lanes = ["python", *(["native"] if available().usable else [])]
        metafunc.parametrize("served_by", lanes, indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def served_by(request: pytest.FixtureRequest) -> str:
    """The lane that answers."""
    Server.lane = getattr(request, "param", "python")
    return Server.lane


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Makes servers, not yet started; they are stopped at the end of the file."""
    made: list[Server] = []

    def make(zones: Mapping[str, str] | str, settings: str = "", **how: tuple[str, ...]) -> Server:
        files = {"shop.example.yaml": zones} if isinstance(zones, str) else zones
        made.append(Server(tmp_path_factory.mktemp("geodns"), files, settings, **how))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def origin() -> Iterator[Callable[[], Origin]]:
    """Makes endpoints that listen."""
    made: list[Origin] = []

    def make() -> Origin:
        made.append(Origin())
        return made[-1]

    yield make
    for origin_ in made:
        origin_.close()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The synthetic databases by their key in geodns.yaml."""
    folder = tmp_path_factory.mktemp("databases")
    build(folder)
    return {kind.lower(): folder / name for kind, name in FILES.items()}


@pytest.fixture(params=MAKES)
def resolver(
    request: pytest.FixtureRequest, required: Callable[[str], str], resolvers: Mapping[str, Resolver]
) -> Resolver:
    """Each of the file's `resolvers` in turn; the test is left where the machine lacks it."""
    required(MAKES[request.param].program)
    return resolvers[request.param]
