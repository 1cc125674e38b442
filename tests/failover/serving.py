"""A backend's process: `python -I -S serving.py HOST PORT`. It says so once it listens."""

import socket
import sys

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def main() -> None:
    with socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=64) as server:
        print("listening", flush=True)
        while True:
            client, _ = server.accept()
            with client:
                client.settimeout(2.0)
                try:
                    client.recv(4096)
                    client.sendall(RESPONSE)
                except OSError:
                    continue


main()
