"""Logins to caches of clouds, by tokens that end. One file for each cloud, which is imported only where it is needed."""

from importlib import import_module

from caches_runtime.client.connection import Connection, ConnectionRefusedError
from caches_runtime.client.logins.tokens import Tokens

# By the cloud, the packages that make its tokens, which are an extra.
_EXTRAS = {"aws": "botocore", "azure": "azure-identity", "gcp": "google-auth"}


class MissingExtraError(ImportError):
    """What makes the tokens of a cloud is not installed: it says how to."""


def login_of(connection: Connection) -> Tokens:
    """By its `auth`, which is iam or entra. Asks for the first token at once, and does not wait for it.

    Raises ConnectionRefusedError for what the cloud's login needs and the connection does not have, MissingExtraError.
    """
    cloud = "azure" if connection.auth == "entra" else connection.provider
    if cloud not in ("aws", "gcp") and connection.auth == "iam":
        raise ConnectionRefusedError(f"provider: {cloud!r} has no login by auth = iam; it is aws or gcp")
    if not connection.tls:
        raise ConnectionRefusedError(f"tls: must be true with auth = {connection.auth}: a token is sent as it is")
    try:
        module = import_module(f"caches_runtime.client.logins.{cloud}")
    except ModuleNotFoundError as missing:
        raise MissingExtraError(
            f"auth = {connection.auth} at {cloud} needs {_EXTRAS[cloud]} ({missing}): pip install 'caches-runtime[{cloud}]'"
        ) from missing
    tokens = Tokens(module.source(connection))
    tokens.prepare()
    return tokens
