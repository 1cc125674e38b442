"""Servers and endpoints that end with the test, or the file, that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from e2e_support import Origin, Server
from resolver_support import MAKES, Resolver

from geodns.demo.databases import FILES, build


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
