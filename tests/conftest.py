"""What tests may ask of the machine: what is missing means skip, but fail in CI (`CI=true`)."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Leave the test because the machine lacks `what`."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} must be here in CI: .ci/run installs it")
    pytest.skip(f"{what} is not here")


@pytest.fixture(scope="session")
def required() -> Callable[[str], str]:
    """`required("nsd")` is the program's path, looked for in /usr/sbin too; without it the test is left."""

    def find(tool: str) -> str:
        places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
        return shutil.which(tool, path=places) or missing(tool)

    return find


@pytest.fixture(scope="session")
def ipv6() -> str:
    """`::1`, where the machine has it; without it the test is left."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        missing("the IPv6 loopback address ::1")
    return "::1"
