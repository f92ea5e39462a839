"""Connections that end with the time of the call that they serve: connecting, greeting, sending and each piece of an answer."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import redis
from redis.connection import Connection, SSLConnection
from redis.exceptions import ClusterDownError, ResponseError, TryAgainError
from redis.sentinel import SentinelManagedConnection

from caches_runtime.client.calls import PIPELINE, UNDER_WAY, NotServedError
from caches_runtime.client.logins.tokens import Token, Tokens
from caches_runtime.ops.tls import context_of

Result = TypeVar("Result")


def _within(sock: Any, do: Callable[[], Result]) -> Result:
    """Does it in the time that the socket and the call have, the shorter."""
    call = UNDER_WAY.get()
    if call is None:
        return do()
    own = sock.gettimeout()
    if own == 0:  # asked to look and not to wait
        return do()
    left = call.left
    if left <= 0:
        raise TimeoutError("the call's time is over")
    if own is not None and own <= left:
        return do()
    sock.settimeout(left)
    try:
        return do()
    finally:
        sock.settimeout(own)


class Turn:
    """A lock that a thread may take more than once. Waiting for it ends with the call: who holds it has another deadline."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        call = UNDER_WAY.get()
        if not self._lock.acquire(timeout=max(0.0, call.left) if call else -1):
            raise redis.TimeoutError("the call's time is over, and another thread is still asking who serves")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _Socket(socket.socket):
    def connect(self, address: Any) -> None:
        return _within(self, lambda: super(_Socket, self).connect(address))

    def recv(self, *arguments: Any) -> bytes:
        return _within(self, lambda: super(_Socket, self).recv(*arguments))

    def recv_into(self, *arguments: Any) -> int:
        return _within(self, lambda: super(_Socket, self).recv_into(*arguments))

    def sendall(self, *arguments: Any) -> None:
        return _within(self, lambda: super(_Socket, self).sendall(*arguments))


class _TlsSocket(ssl.SSLSocket):
    def recv(self, *arguments: Any) -> bytes:
        return _within(self, lambda: super(_TlsSocket, self).recv(*arguments))

    def recv_into(self, *arguments: Any) -> int:
        return _within(self, lambda: super(_TlsSocket, self).recv_into(*arguments))

    def sendall(self, *arguments: Any) -> None:
        return _within(self, lambda: super(_TlsSocket, self).sendall(*arguments))

    def do_handshake(self, block: bool = False) -> None:
        return _within(self, lambda: super(_TlsSocket, self).do_handshake(block))


class BoundedConnection(Connection):
    """One without TLS."""

    _about: Any = None
    """What is about to be sent."""
    _token: Token | None = None
    """What it has logged in with, where that ends."""

    def _connect(self) -> socket.socket:
        problem: OSError = OSError("getaddrinfo has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, self.socket_type, socket.SOCK_STREAM):
            made = _Socket(family, kind, protocol)
            try:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in self.socket_keepalive_options.items():
                    made.setsockopt(socket.IPPROTO_TCP, option, value)
                made.settimeout(self.socket_connect_timeout)
                made.connect(address)
                made.settimeout(self.socket_timeout)
                return made
            except OSError as error:
                problem = error
                made.close()
        raise problem

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Logs in, or is not connected."""
        try:
            if isinstance(self.credential_provider, Tokens):
                self._token = self.credential_provider.token()
            super().on_connect_check_health(check_health)
            self._await_answer()
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise

    def _await_answer(self) -> None:
        """Without TLS there is nothing to wait for."""

    def _log_in_anew(self) -> None:
        """If there is a newer token than when it did."""
        login = self.credential_provider
        if not isinstance(login, Tokens) or (token := login.token()) is self._token:
            return
        self._token = token
        self.send_command("AUTH", token.username, token.password, check_health=False)
        try:
            self.read_response()
        except redis.RedisError:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise

    def pack_commands(self, commands: Any) -> Any:
        """Those of a pipeline."""
        packed = super().pack_commands(commands)  # type: ignore[no-untyped-call]
        self._about = PIPELINE
        return packed

    def send_command(self, *args: Any, **kwargs: Any) -> None:
        """Sends one."""
        self._about = args[0]
        super().send_command(*args, **kwargs)  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """An answer. One that redis-py would sleep after, whatever time the call has left, is made another error."""
        try:
            return super().read_response(*args, **kwargs)
        except (ClusterDownError, TryAgainError) as error:
            call = UNDER_WAY.get()
            if call is None or call.command == PIPELINE:
                raise
            raise NotServedError(str(error)) from error

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Connects first: what can't be connected has not sent anything."""
        about = self._about
        call = UNDER_WAY.get()
        if not self._sock:
            self.connect_check_health(check_health=False)
        elif call and about != "AUTH":  # what has no call, such as pub/sub, may not be able to
            self._log_in_anew()
        if call:
            call.sends(about, self.host, self.port)
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class BoundedTlsConnection(SSLConnection, BoundedConnection):
    """One with TLS: known by the authority that is given and by no name, else by name and the machine's authorities."""

    def _wrap_socket_with_ssl(self, sock: Any) -> ssl.SSLSocket:
        context = context_of(pem=self.ca_data) if self.ca_data else ssl.create_default_context()
        context.sslsocket_class = _TlsSocket
        return context.wrap_socket(sock, server_hostname=self.host)

    def _await_answer(self) -> None:
        """One that is read reads the tickets of TLS 1.3 too, which redis-py would take for an answer to nobody. A login has one."""
        if self.credential_provider is None:
            self.send_command("PING", check_health=False)
            with suppress(ResponseError):
                self.read_response()


class SentinelConnection(SentinelManagedConnection, BoundedConnection):
    """One to what sentinels name."""


class SentinelTlsConnection(SentinelManagedConnection, BoundedTlsConnection):
    """The same with TLS."""
