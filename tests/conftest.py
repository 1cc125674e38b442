"""What tests may ask of the machine: what is missing means skip, but fail in CI (`CI=true`)."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of www.example.com in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem"
    )
    names = ["-subj", "/CN=www.example.com", "-addext", "subjectAltName=DNS:www.example.com"]
    subprocess.run(
        [*command.split(), "-out", "cert.pem", *names], cwd=folder, check=True, capture_output=True
    )
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
async def knowing(certificate: Path) -> AsyncIterator[Prober]:
    """A prober that trusts the certificate."""
    prober = Prober(LOOPBACK, partial(ssl.create_default_context, cafile=str(certificate)))
    yield prober
    await prober.close()
