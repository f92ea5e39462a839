"""Changes that are sent as events to EventBridge, with the extra `aws`."""

import random
import time
from typing import Any

import msgspec

from caches_runtime.client.logins import MissingExtraError
from caches_runtime.observers.change import Change, texts
from caches_runtime.observers.eventbridge import DETAIL_TYPE, Detail

try:
    from botocore.config import Config  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
    from botocore.session import Session  # type: ignore[import-untyped]
except ModuleNotFoundError as missing:
    raise MissingExtraError(f"events to EventBridge need botocore ({missing}): pip install 'caches-runtime[aws]'") from missing

MOST_BYTES = 256 * 1024
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html: of an entry with its other fields."""
_OTHER_BYTES = 1024
_PASSING = ("InternalException", "InternalFailure", "ServiceUnavailable", "ThrottlingException")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0


class NotPublishedError(Exception):
    """EventBridge did not take an event, or it is not known whether it did; sending it again does no harm."""


class EventBridgePublisher:
    """Sends changes to a bus, with the AWS credentials that the machine has."""

    def __init__(self, bus: str, *, region: str, source: str, attempts: int = 5, timeout: float = 2.0) -> None:
        """
        * `bus`: its name or ARN.
        * `source`: of the events, by which rules choose them, such as shop.products.
        * `attempts` (5): with pauses of 0.1 to 5 s that double.
        * `timeout` (seconds, 2): of each attempt's connecting, and of each wait for an answer.

        Raises ValueError for what can't be sent to.
        """
        for name, value in (("bus", bus), ("region", region), ("source", source)):
            if not value:
                raise ValueError(f"{name}: must not be empty")
        for name, number in (("attempts", attempts), ("timeout", timeout)):
            if not number > 0:
                raise ValueError(f"{name} = {number!r}: it is more than 0")
        self._bus, self._source, self._attempts = bus, source, attempts
        config = Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1})
        self._client = Session().create_client("events", region_name=region, config=config)

    def publish(self, change: Change, version: int) -> None:
        """Sends it; `version` is as Consumer says. Raises ValueError for what no event can have, NotPublishedError."""
        detail = msgspec.json.encode(
            Detail(texts(change.keys), texts(change.prefixes), texts(change.tags), change.everything, version=version)
        )
        if len(detail) > MOST_BYTES - _OTHER_BYTES:
            raise ValueError(
                f"a change of {len(detail)} bytes: at most {MOST_BYTES - _OTHER_BYTES}; name a prefix or a tag, or send several"
            )
        entry = {"EventBusName": self._bus, "Source": self._source, "DetailType": DETAIL_TYPE, "Detail": detail.decode()}
        pause = _FIRST_PAUSE_SECONDS
        for left in reversed(range(self._attempts)):
            problem, passing = self._attempt(entry)
            if not problem:
                return
            if not (passing and left):
                break
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        raise NotPublishedError(f"{self._bus} did not take an event, attempts: {self._attempts - left}; the last: {problem}")

    def _attempt(self, entry: dict[str, Any]) -> tuple[str, bool]:
        """What went wrong, and whether it may pass."""
        try:
            answer = self._client.put_events(Entries=[entry])
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            return str(error), code in _PASSING or status >= 500
        except BotoCoreError as error:
            return str(error), True
        if not answer["FailedEntryCount"]:
            return "", False
        [failed] = answer["Entries"]
        return f"{failed.get('ErrorCode')}: {failed.get('ErrorMessage')}", failed.get("ErrorCode") in _PASSING
