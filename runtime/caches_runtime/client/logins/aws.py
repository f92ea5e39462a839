"""Tokens of ElastiCache: a request to connect, signed with the AWS credentials that the machine has.

https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
"""

import time
from collections.abc import Callable
from urllib.parse import urlencode

from botocore.model import ServiceId  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]
from botocore.signers import RequestSigner  # type: ignore[import-untyped]

from caches_runtime.client.connection import Connection, ConnectionRefusedError
from caches_runtime.client.logins.tokens import Token

# A token is valid for 15 minutes. A connection is cut 12 hours after its last login, long after the next one.
_VALID_SECONDS = 900
_RENEW_SECONDS = 600


def source(connection: Connection) -> Callable[[], Token]:
    """What makes tokens, from the usual places for credentials. Raises ConnectionRefusedError."""
    for name, value in (("username", connection.username), ("cache_name", connection.cache_name), ("region", connection.region)):
        if not value:
            raise ConnectionRefusedError(f"{name}: missing; a login by IAM at ElastiCache needs it")
    username = str(connection.username)
    query = {"Action": "connect", "User": username, **({"ResourceType": "ServerlessCache"} if connection.serverless else {})}
    address = f"https://{connection.cache_name.lower()}/?{urlencode(query)}"
    session = Session()

    def token() -> Token:
        # Of before it was signed: that is when its time begins.
        now = time.monotonic()
        credentials = session.get_credentials()
        if credentials is None:
            raise LookupError("there are no AWS credentials: give the pod or machine a role, or set AWS_PROFILE")
        signer = RequestSigner(
            ServiceId("elasticache"), connection.region, "elasticache", "v4", credentials, session.get_component("event_emitter")
        )
        request = {"method": "GET", "url": address, "body": {}, "headers": {}, "context": {}}
        signed = signer.generate_presigned_url(request, operation_name="connect", expires_in=_VALID_SECONDS)
        return Token(username, signed.removeprefix("https://"), now + _RENEW_SECONDS, now + _VALID_SECONDS)

    return token
