"""What tests may ask of the machine: what is missing means skip, but fail in CI (`CI=true`)."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import pytest
from core_support import Lab
from probe_support import LOOPBACK

from geodns.core.replay import Replay
from geodns.monitor.probes import Prober
from geodns.native import available


def _native() -> type[Replay] | None:
    """The native lane's replay, where it can be used; tests/test_native.py tells where it should be."""
    if not available().usable:
        return None
    from geodns.core.native import NativeReplay

    return NativeReplay


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever makes labs does so in both lanes, but for what is marked `python_lane`: that one's memories."""
    if not any(hasattr(metafunc.module, name) for name in ("Lab", "worlds")):
        return
    lanes = {"python": Replay}
    native = _native()
    if native is not None and metafunc.definition.get_closest_marker("python_lane") is None:
        lanes["native"] = native
    metafunc.parametrize("lane", lanes.values(), ids=lanes.keys(), indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def lane(request: pytest.FixtureRequest) -> type[Replay]:
    """Who answers in labs."""
    Lab.lane = getattr(request, "param", Replay)
    return Lab.lane


def missing(what: str) -> NoReturn:
    """Leave the test because the machine lacks `what`."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} must be here in CI: see .ci/run")
    pytest.skip(f"{what} is not here")


@pytest.fixture(scope="session")
def required() -> Callable[[str], str]:
    """`required("nsd")` is the program's path, looked for in /usr/sbin too; without it the test is left."""

    def find(tool: str) -> str:
        places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
        return shutil.which(tool, path=places) or missing(tool)

    return find


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], NoReturn]:
    """`lacking("a right")`: the test is left."""
    return missing


@pytest.fixture(scope="session")
def native_lane() -> None:
    """The native lane, where it can be used; without it the test is left."""
    if not available().usable:
        missing("the native lane")


@pytest.fixture(scope="session")
def ipv6() -> str:
    """`::1`, where the machine has it; without it the test is left."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        missing("the IPv6 loopback address ::1")
    return "::1"


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    prober = Prober(LOOPBACK)
    yield prober
    await prober.close()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
