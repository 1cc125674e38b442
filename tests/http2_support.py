"""HTTP/2 servers on loopback: one that answers as told, and ones that do what nobody should."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from probe_support import Handler

Headers = list[tuple[str, str]]
Answer = Callable[[H2Connection, int], Awaitable[None] | None]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OK: Headers = [(":status", "200")]


def speaking(answer: Answer, asked: list[tuple[Headers, bytes]] | None = None) -> Handler:
    """A server that calls `answer` with its connection and the stream once a request is whole."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        request: tuple[Headers, bytes] = ([], b"")
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                match event:
                    case RequestReceived():
                        request = ([(str(n), str(v)) for n, v in event.headers], b"")
                    case DataReceived():
                        request = (request[0], request[1] + (event.data or b""))
                    case StreamEnded():
                        if asked is not None:
                            asked.append(request)
                        done = answer(connection, event.stream_id)
                        if done is not None:
                            await done
            writer.write(connection.data_to_send())
        writer.close()

    return handler


def replying(
    headers: Headers, body: bytes = b"", trailers: Headers | None = None, *, end: bool = True
) -> Answer:
    """An answer that is sent at once, and ended unless told otherwise."""

    def answer(connection: H2Connection, stream: int) -> None:
        connection.send_headers(stream, headers, end_stream=end and not body and trailers is None)
        if body:
            connection.send_data(stream, body, end_stream=end and trailers is None)
        if trailers is not None:
            connection.send_headers(stream, trailers, end_stream=True)

    return answer


def frame(kind: int, flags: int, stream: int, content: bytes = b"", length: int | None = None) -> bytes:
    """A frame as it goes over the wire (RFC 9113 §4.1); `length` may lie."""
    size = len(content) if length is None else length
    return struct.pack("!I", size)[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + content


DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 9
STATUS_200 = b"\x88"  # HPACK: the eighth of the static table


def sending(chunks: Iterable[bytes], pause: float = 0.0) -> Handler:
    """A server that sends SETTINGS and then these octets, whatever it is asked, until the client leaves."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(frame(SETTINGS, 0, 0))
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(pause)
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return handler


def server_context(certificate: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context
