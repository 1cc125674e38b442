"""One request over HTTP/2 (RFC 9113), for checks of that version and for gRPC.

The protocol is h2's, which does no I/O; here are the connection and the bounds: of what a peer sends, of how
many headers and of what size. One connection carries one request and is then cut.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe, shorten
from geodns.monitor.probes.http import MAX_BODY, authority, phrase, status_text
from geodns.monitor.probes.tls import expiry, server_name

MAX_RECEIVED = 4 * MAX_BODY  # octets of all frames
MAX_HEADERS = 16 * 1024  # octets of a list of headers, each counted with 32 more (RFC 9113 §6.5.2)
_MOST_INFORMATION = 8  # responses 1xx
_AT_ONCE = 2048  # octets: a peer's worst frames must not hold up the loop
ALPN = "h2"


class FailedError(Exception):
    """Why there is no response, for people."""


@dataclass(slots=True)
class Response:
    """What came of it: `status` is 0 until the headers are here, by lower-case name; `ended`: all is here."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    expires: float | None = None


class Request(NamedTuple):
    """`fields` are headers by lower-case name, without those of the request line."""

    method: str
    path: str
    fields: Mapping[str, str]
    body: bytes = b""


class _Connection(H2Connection):
    DEFAULT_MAX_HEADER_LIST_SIZE = MAX_HEADERS


async def probe(p: Probe, address: str, tls: ssl.SSLContext | None) -> Outcome:
    """Ask `address` (numeric) as an http check of version 2 says. No deadline of its own."""
    loop, check = asyncio.get_running_loop(), p.check
    began = loop.time()
    wanted = None if check.body is None else check.body.encode()

    def good(response: Response) -> bool:
        return any(low <= response.status <= high for low, high in check.status)

    def enough(response: Response) -> bool:
        if wanted is None or not good(response):
            return True
        return wanted in response.body or len(response.body) >= MAX_BODY

    own = {name.lower(): value for name, value in check.headers}
    request = Request(check.method, check.path, {"user-agent": "geodns", **own})
    try:
        response = await ask(p, address, request, tls, enough)
    except FailedError as error:
        return Outcome(False, shorten(str(error)))
    except OSError as error:
        return Outcome(False, describe(error))
    if not good(response):
        return Outcome(False, f"status {response.status}, want {status_text(check.status)}", response.expires)
    if wanted is not None and wanted not in response.body[:MAX_BODY]:
        return Outcome(False, shorten(f"body lacks {check.body!r}"), response.expires)
    took = (loop.time() - began) * 1000
    return Outcome(True, f"{response.status} {phrase(response.status)}in {took:.0f} ms", response.expires)


async def ask(
    p: Probe, address: str, request: Request, tls: ssl.SSLContext | None, enough: Callable[[Response], bool]
) -> Response:
    """The response, until it ends or `enough` of it is here. Raises FailedError and OSError.

    Without `tls` the server is taken to speak HTTP/2 at once ("prior knowledge", RFC 9113 §3.3).
    """
    name = server_name(p) if tls else None
    reader, writer = await asyncio.open_connection(address, p.port, ssl=tls, server_hostname=name)
    try:
        response = Response(expires=expiry(writer.transport))
        if tls and writer.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
            raise FailedError("not HTTP/2: the server did not choose h2 (ALPN)")
        connection = _begun(p, request, tls is not None)
        await _exchange(connection, reader, writer, response, enough)
    except H2Error as error:
        raise FailedError(f"not HTTP/2: {str(error) or type(error).__name__}") from error
    finally:
        writer.transport.abort()
    return response


def _begun(p: Probe, request: Request, over_tls: bool) -> H2Connection:
    """A connection with its preface and the request ready to be sent."""
    connection = _Connection(H2Configuration(client_side=True, header_encoding=None))
    values = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS}
    connection.local_settings = Settings(client=True, initial_values=values)
    connection.initiate_connection()
    line = {
        ":method": request.method,
        ":scheme": "https" if over_tls else "http",
        ":authority": authority(p),
        ":path": request.path,
    }
    connection.send_headers(1, [*line.items(), *request.fields.items()], end_stream=not request.body)
    if request.body:
        connection.send_data(1, request.body, end_stream=True)
    return connection


async def _exchange(
    connection: H2Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    response: Response,
    enough: Callable[[Response], bool],
) -> None:
    received = information = 0
    while True:
        writer.write(connection.data_to_send())  # what answers frames is no more than they are
        data = await reader.read(_AT_ONCE)
        received += len(data)
        if not data:
            where = "in the middle of the response" if response.status else "without a response"
            raise FailedError(f"connection closed {where}")
        if received == len(data) and data.startswith(b"HTTP/"):
            raise FailedError("not HTTP/2: it speaks HTTP/1")  # else a frame of 4 MiB that never ends
        if received > MAX_RECEIVED:
            raise FailedError(f"it sent more than {MAX_RECEIVED // 1024} KiB of frames")
        for event in connection.receive_data(data):
            _take(event, connection, response)
            information += isinstance(event, InformationalResponseReceived)
            if response.ended:
                return
        if information > _MOST_INFORMATION:
            raise FailedError(f"more than {_MOST_INFORMATION} responses 1xx came before the response")
        if response.status and enough(response):
            return


def _take(event: Event, connection: H2Connection, response: Response) -> None:
    match event:
        case ResponseReceived():
            response.headers = _fields(event.headers)
            response.status = _status(response.headers.get(":status", ""))
        case TrailersReceived():
            response.trailers = _fields(event.headers)
        case DataReceived():
            response.body += event.data or b""
            connection.acknowledge_received_data(event.flow_controlled_length or 0, 1)
        case StreamEnded():
            response.ended = True
        case StreamReset():
            raise FailedError(f"the stream was reset: {_word(event.error_code)}")
        case ConnectionTerminated() if event.error_code:
            raise FailedError(f"the server ended the connection: {_word(event.error_code)}")


def _fields(headers: object) -> dict[str, str]:
    assert isinstance(headers, list)
    return {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in headers}


def _status(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 3):
        raise FailedError("not HTTP/2: the status is no number")
    return int(text)


def _word(code: int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"error {code}"
