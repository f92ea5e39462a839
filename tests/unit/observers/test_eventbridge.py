"""Events to and from EventBridge, over HTTP, with moto's bus, rules and queues."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.session import Session  # type: ignore[import-untyped]
from caches_runtime.observers import Change, Consumer, MalformedEventError
from caches_runtime.observers.eventbridge import DETAIL_TYPE
from caches_runtime.observers.eventbridge_publisher import EventBridgePublisher, NotPublishedError
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.backup.buckets import amazon, free_port
from unit.observers.recording import EVERYTHING, Recording

REGION, SOURCE = "us-east-1", "shop.products"


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    with amazon(tmp_path) as moto:
        moto.lead(monkeypatch)
        yield Session()


def queue_of(aws: Session, bus: str, pattern: dict[str, Any]) -> tuple[Any, str]:
    """One to which a rule of the bus sends what matches."""
    events, sqs = (aws.create_client(name, region_name=REGION) for name in ("events", "sqs"))
    url = sqs.create_queue(QueueName="invalidations")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name=bus)
    events.put_rule(Name="invalidations", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="invalidations", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return sqs, url


def received(sqs: Any, url: str) -> dict[str, Any]:
    """As Lambda gets them."""
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return {"Records": [{"messageId": each["MessageId"], "body": each["Body"]} for each in messages]}


def test_what_is_published_comes_by_a_rule_and_a_queue_to_who_holds_values(aws: Session) -> None:
    pattern = {"source": [SOURCE], "detail-type": [DETAIL_TYPE], "detail": {"keys": [{"prefix": "product:"}]}}
    sqs, url = queue_of(aws, "shop", pattern)
    publisher = EventBridgePublisher("shop", region=REGION, source=SOURCE)
    change = Change(keys=("product:1", b"product:\xc3\xbc"), tags=("red",))
    publisher.publish(change, 7)
    publisher.publish(Change(keys=("other:1",)), 8)
    EventBridgePublisher("shop", region=REGION, source="another").publish(change, 9)
    told = Recording()
    consumer = Consumer(told)
    event = received(sqs, url)
    assert len(event["Records"]) == 1
    for _ in range(2):  # a queue may deliver it twice
        assert consumer.handle(event) == {"batchItemFailures": []}
    assert told.changes == [Change(keys=("product:1", "product:ü"), tags=("red",))]


def event(version: int, source: str = SOURCE, **detail: Any) -> dict[str, Any]:
    return {"version": "0", "id": "1", "source": source, "detail-type": DETAIL_TYPE, "detail": {"version": version, **detail}}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=12), st.randoms(use_true_random=False))
def test_in_whatever_order_and_however_often_events_come_each_key_is_told_for_its_newest_and_never_for_an_older_one(
    published: list[tuple[str, int]], order: random.Random
) -> None:
    told = Recording()
    consumer = Consumer(told)
    delivered = published * 2
    order.shuffle(delivered)
    newest: dict[str, int] = {}
    for key, version in delivered:
        before = len(told.changes)
        assert consumer.apply(event(version, keys=[key])) == (version > newest.get(key, -1))
        assert told.changes[before:] == ([Change(keys=(key,))] if version > newest.get(key, -1) else [])
        newest[key] = max(version, newest.get(key, -1))


def test_only_what_is_new_of_an_event_is_told_by_source() -> None:
    told = Recording()
    consumer = Consumer(told)
    consumer.apply(event(2, keys=["a"], tags=["red"]))
    consumer.apply(event(2, keys=["a", "b"], prefixes=["a"], tags=["red"], everything=True))
    assert told.changes[1:] == [Change(keys=("b",), prefixes=("a",), everything=True)]
    assert consumer.handle(event(1, source="another", keys=["a"])) is None
    assert told.changes[2:] == [Change(keys=("a",))]


def test_what_could_not_be_told_is_told_when_it_comes_again() -> None:
    told = Recording()
    told.fails = True
    consumer = Consumer(told)
    batch = {"Records": [{"messageId": "1", "body": json.dumps(event(1, everything=True))}]}
    assert consumer.handle(batch) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    with pytest.raises(RuntimeError):
        consumer.handle(event(1, everything=True))
    told.fails = False
    assert consumer.handle(batch) == {"batchItemFailures": []}
    assert told.changes == [EVERYTHING]


def test_what_was_told_longest_ago_is_forgotten_first() -> None:
    told = Recording()
    consumer = Consumer(told, remembered=2)
    for key in "abc":
        consumer.apply(event(1, keys=[key]))
    assert [consumer.apply(event(1, keys=[key])) for key in "cba"] == [False, False, True]


MALFORMED = [
    ("not JSON", "an event of EventBridge"),
    ({}, "missing required field `source`"),
    ({**event(1, keys=["a"]), "detail-type": "Scheduled Event"}, "detail-type = 'Scheduled Event': it is 'Cache Invalidation'"),
    (event(1), "names nothing"),
    ({**event(1), "detail": {"keys": ["a"]}}, "missing required field `version`"),
    (event(1, keys="a"), r"Expected `array`, got `str` - at `\$.detail.keys`"),
    (event(1, keys=[1]), "Expected `str`, got `int`"),
    (event(1, keys=["a"], key=["b"]), "unknown field `key`"),
]


@pytest.mark.parametrize(("given", "problem"), MALFORMED)
def test_an_event_that_is_malformed_is_refused_and_does_not_keep_others_waiting(given: Any, problem: str) -> None:
    told = Recording()
    consumer = Consumer(told)
    with pytest.raises(MalformedEventError, match=problem):
        consumer.handle(given)
    bodies = [given if isinstance(given, str) else json.dumps(given), json.dumps(event(1, keys=["a"]))]
    batch = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
    assert consumer.handle(batch) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert told.changes == [Change(keys=("a",))]


class Bus(ThreadingHTTPServer):
    """Answers what it is told to, which moto can't: it never refuses for a while."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers = list(answers)
        self.asked = 0
        Thread(target=self.serve_forever, daemon=True).start()


class Answering(BaseHTTPRequestHandler):
    """The last answer is given again and again."""

    server: Bus

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        status, answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


TAKEN = (200, {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})
DENIED = (400, {"__type": "AccessDeniedException", "message": "not yours"})


def failed(code: str) -> tuple[int, dict[str, Any]]:
    return 200, {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "why"}]}


@pytest.mark.parametrize(
    ("answers", "asked", "problem"),
    [
        ([failed("ThrottlingException"), (500, {}), TAKEN], 3, ""),
        ([failed("ThrottlingException")], 3, "attempts: 3; the last: ThrottlingException: why"),
        ([failed("InvalidArgument")], 1, "attempts: 1; the last: InvalidArgument: why"),
        ([DENIED], 1, "attempts: 1; the last: .*AccessDenied.*not yours"),
    ],
)
def test_what_may_pass_is_tried_again_and_all_else_is_told(
    answers: list[tuple[int, dict[str, Any]]], asked: int, problem: str, aws: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bus(*answers) as bus:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bus.server_port}")
        publisher = EventBridgePublisher("shop", region=REGION, source=SOURCE, attempts=3)
        if problem:
            with pytest.raises(NotPublishedError, match=problem):
                publisher.publish(EVERYTHING, 1)
        else:
            publisher.publish(EVERYTHING, 1)
        assert bus.asked == asked
        bus.shutdown()


def test_a_bus_that_nobody_answers_for_is_told(aws: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotPublishedError, match="attempts: 2; the last: Could not connect"):
        EventBridgePublisher("shop", region=REGION, source=SOURCE, attempts=2).publish(EVERYTHING, 1)


def test_what_no_event_can_have_is_refused_before_anything_is_sent(aws: Session) -> None:
    with pytest.raises(ValueError, match="region: must not be empty"):
        EventBridgePublisher("shop", region="", source=SOURCE)
    with pytest.raises(ValueError, match="attempts = 0: it is more than 0"):
        EventBridgePublisher("shop", region=REGION, source=SOURCE, attempts=0)
    publisher = EventBridgePublisher("shop", region=REGION, source=SOURCE)
    with pytest.raises(ValueError, match="a change of 270022 bytes: at most 261120"):
        publisher.publish(Change(keys=tuple(f"{number:07}" for number in range(27_000))), 1)
    with pytest.raises(ValueError, match="is not UTF-8"):
        publisher.publish(Change(keys=(b"\xff",)), 1)
