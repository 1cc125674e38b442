"""Many queries at once to one server on loopback, over UDP and TCP, each with its reply.

`ask_all` is for questions that have an answer. `ask_any` is for packets that may have none: behind them goes
a question that has one, and what has not been answered by then is silence.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from tests.differential.queries import Query
from tests.differential.shapes import Shape

WINDOW = 64  # queries under way at once: fewer than any server's socket buffer holds
PATIENCE = 3.0  # seconds without any reply
TRIES = 3
BATCH = 24  # packets without knowing whether a reply comes
STRAGGLERS = 0.03  # seconds, for a server that does not keep the order
LAST = b"\xff\xff"  # the id of the question that has an answer


def ask_all(port: int, queries: list[Query]) -> list[bytes | None]:
    """The replies in the order of the queries; None where none came after some tries."""
    replies: list[bytes | None] = [None] * len(queries)
    udp = [i for i, query in enumerate(queries) if not query.tcp]
    for _ in range(TRIES):
        if udp:
            _datagrams(port, queries, udp, replies)
            udp = [i for i in udp if replies[i] is None]
    _stream(port, queries, [i for i, query in enumerate(queries) if query.tcp], replies)
    return replies


def _datagrams(port: int, queries: list[Query], wanted: list[int], replies: list[bytes | None]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(PATIENCE)
        for start in range(0, len(wanted), WINDOW):
            part = wanted[start : start + WINDOW]
            waiting = dict(enumerate(part))
            for number, index in waiting.items():
                client.send(number.to_bytes(2) + queries[index].packet[2:])
            try:
                while waiting:
                    reply = client.recv(65535)
                    index = waiting.pop(int.from_bytes(reply[:2]), -1)
                    if index >= 0:
                        replies[index] = reply
            except OSError:
                client.close()
                return _datagrams(port, queries, wanted[start + WINDOW :], replies)
    return None


def _stream(port: int, queries: list[Query], wanted: list[int], replies: list[bytes | None]) -> None:
    for start in range(0, len(wanted), WINDOW):
        part = wanted[start : start + WINDOW]
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as client,
            client.makefile("rb") as stream,
        ):
            frames = []
            for number, index in enumerate(part):
                packet = number.to_bytes(2) + queries[index].packet[2:]
                frames.append(struct.pack("!H", len(packet)) + packet)
            client.sendall(b"".join(frames))
            for _ in part:
                reply = stream.read(int.from_bytes(stream.read(2)))
                if not reply:
                    return
                replies[part[int.from_bytes(reply[:2])]] = reply


def ask_any(port: int, shapes: Sequence[Shape], known: bytes) -> list[bytes | None]:
    """The replies in the order of the packets, None for silence; `known` is a question that has an answer."""
    replies: list[bytes | None] = [None] * len(shapes)
    udp = [i for i, shape in enumerate(shapes) if not shape.tcp]
    for start in range(0, len(udp), BATCH):
        part = udp[start : start + BATCH]
        for index, reply in zip(part, _flight(port, [shapes[i].packet for i in part], known), strict=True):
            replies[index] = reply
    for index, shape in enumerate(shapes):
        if shape.tcp:
            replies[index] = _alone(port, shape.packet, known)
    return replies


def _flight(port: int, packets: list[bytes], known: bytes) -> list[bytes | None]:
    replies: list[bytes | None] = [None] * len(packets)
    with socket.socket(type=socket.SOCK_DGRAM) as client, suppress(OSError):
        client.connect(("127.0.0.1", port))
        for number, packet in enumerate(packets):
            client.send(number.to_bytes(2)[: len(packet)] + packet[2:])
        client.send(LAST + known[2:])
        client.settimeout(PATIENCE)
        behind = False
        while not behind or None in replies:
            reply = client.recv(65535)
            if reply[:2] == LAST:
                behind = True
                client.settimeout(STRAGGLERS)
            else:
                replies[int.from_bytes(reply[:2])] = reply
    return replies


def _alone(port: int, packet: bytes, known: bytes) -> bytes | None:
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as client,
        client.makefile("rb") as stream,
    ):
        for frame in (packet, LAST + known[2:]):
            client.sendall(struct.pack("!H", len(frame)) + frame)
        reply = stream.read(int.from_bytes(stream.read(2)))
        return None if not reply or reply[:2] == LAST else reply
    return None
