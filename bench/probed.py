"""`python -m bench.probed CERTIFICATE`: endpoints to be probed, at every address of 127.0.0.0/8.

Prints the ports as JSON and ends when its input does. `open` takes connections, `closed` refuses them, `full`
leaves them without an answer (Linux drops the SYNs of a listener whose queue is full), `https` says 200.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import threading

EVERYWHERE = "0.0.0.0"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def main() -> None:
    accepting, closed, full = (socket.socket() for _ in range(3))
    for sock in (accepting, closed, full):
        sock.bind((EVERYWHERE, 0))
    accepting.listen(4096)
    full.listen(0)
    waiting = [socket.socket() for _ in range(2)]  # they fill its queue
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", full.getsockname()[1]))
    threading.Thread(target=_accept, args=(accepting,), daemon=True).start()
    ports = {"open": accepting, "closed": closed, "full": full}
    asyncio.run(_serve({name: sock.getsockname()[1] for name, sock in ports.items()}, sys.argv[1]))


def _accept(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


async def _serve(ports: dict[str, int], certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(_Https, EVERYWHERE, 0, ssl=tls, backlog=4096)
    print(json.dumps({**ports, "https": server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


class _Https(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(RESPONSE)  # a probe's request comes in one piece
        self._transport.close()


if __name__ == "__main__":
    main()
