"""Logins by IAM at ElastiCache: one identity, and how its tokens are checked, which are presigned requests by Signature Version 4.

https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import datetime
from urllib.parse import parse_qsl, quote, urlencode

# Who may connect, as whom to clients sign their tokens.
KEY_ID, SECRET_KEY = "emulated", "emulated"
# How long a token may be good for, a connection after its last login, and a clock be fast.
_TOKEN_SECONDS, _CONNECTION_SECONDS, _SKEW_SECONDS = 900, 12 * 3600, 300


def good_until(token: str, user: str, *, cache: str, region: str, serverless: bool) -> float | None:
    """Until when a connection may stay, in seconds of time.time(); None for a token that lets nobody in."""
    try:
        host, _, query = token.partition("/?")
        parts = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        asked = dict(parts)
        signature, moment, valid = asked.pop("X-Amz-Signature"), asked["X-Amz-Date"], asked["X-Amz-Expires"]
        age = time.time() - datetime.strptime(f"{moment}+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        scope = [moment[:8], region, "elasticache", "aws4_request"]
        wanted = {
            **{"Action": "connect", "User": user, **({"ResourceType": "ServerlessCache"} if serverless else {})},
            **{"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "/".join([KEY_ID, *scope])},
            **{"X-Amz-Date": moment, "X-Amz-Expires": valid, "X-Amz-SignedHeaders": "host"},
        }
        good = host == cache and asked == wanted and len(parts) == len(asked) + 1 and -_SKEW_SECONDS <= age < int(valid) <= _TOKEN_SECONDS
        good = good and hmac.compare_digest(signature, _signature(host, asked, moment, scope))
    except (KeyError, ValueError, TypeError):
        return None
    return time.time() + _CONNECTION_SECONDS if good else None


def _signature(host: str, asked: dict[str, str], moment: str, scope: list[str]) -> str:
    query = urlencode(sorted(asked.items()), quote_via=quote)
    request = ["GET", "/", query, f"host:{host}", "", "host", hashlib.sha256().hexdigest()]
    text = ["AWS4-HMAC-SHA256", moment, "/".join(scope), hashlib.sha256("\n".join(request).encode()).hexdigest()]
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (*scope, "\n".join(text)):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()
