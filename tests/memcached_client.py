"""A Memcached client, a process of its own in whatever network: `memcached_client.py HOST PORT call|write`.

Standard input has its login as JSON: `user`, `password`, `ca_pem` (then it speaks TLS), all optional, and `commands` for `call`,
which prints their replies as JSON: the value of a `get`, a mapping for `stats`, else the reply's line. `write` sets a counter until
standard input closes and prints how many writes were acknowledged and the errors met.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from typing import Any


class Client:
    """One connection."""

    def __init__(self, host: str, port: int, login: dict[str, Any]) -> None:
        connected = socket.create_connection((host, port), timeout=5)
        if login.get("ca_pem"):
            context = ssl.create_default_context(cadata=login["ca_pem"])
            connected = context.wrap_socket(connected, server_hostname=host)
        self._stream = connected.makefile("rwb")
        if login.get("password") is not None:
            token = f"{login['user']} {login['password']}"
            if (reply := self.call(f"set login 0 0 {len(token.encode())}\r\n{token}")) != "STORED":
                raise OSError(reply)

    def call(self, command: str) -> Any:
        self._stream.write(f"{command}\r\n".encode())
        self._stream.flush()
        word = command.split(maxsplit=1)[0]
        line = self._line()
        if word == "stats":
            found = {}
            while line.startswith("STAT "):
                _, name, value = line.split(" ", 2)
                found[name] = value
                line = self._line()
            return found or line
        if line.startswith("VALUE "):
            value = self._stream.read(int(line.split()[3]) + 2)[:-2].decode()
            self._line()
            return value
        return None if line == "END" else line

    def _line(self) -> str:
        line = self._stream.readline()
        if not line:
            raise OSError("connection closed")
        return line.decode().rstrip("\r\n")


def write(client: Client) -> dict[str, Any]:
    stop = threading.Event()

    def stop_when_closed() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=stop_when_closed, daemon=True).start()
    print("started", flush=True)
    written, errors = 0, list[str]()
    while not stop.wait(0.002) and not errors:
        try:
            reply = client.call(f"set counter 0 0 {len(str(written + 1))}\r\n{written + 1}")
            if reply != "STORED":
                errors.append(reply)
        except OSError as error:
            errors.append(str(error))
        written += 1
    return {"written": written, "errors": errors}


def main() -> None:
    host, port, action = sys.argv[1:]
    login = json.loads(sys.stdin.readline())
    try:
        client = Client(host, int(port), login)
        answer: Any = write(client) if action == "write" else [client.call(command) for command in login["commands"]]
    except OSError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
