"""Many queries at once to one server on loopback, over UDP and TCP, each with its reply."""

from __future__ import annotations

import socket
import struct

from tests.differential.queries import Query

WINDOW = 64  # queries under way at once: fewer than any server's socket buffer holds
PATIENCE = 3.0  # seconds without any reply
TRIES = 3


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
