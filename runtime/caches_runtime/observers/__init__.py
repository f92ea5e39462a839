"""Who hears that values have changed, and tells those who hold them."""

from caches_runtime.observers.change import Change, Invalidates, MalformedEventError, message
from caches_runtime.observers.eventbridge import Consumer
from caches_runtime.observers.keyspace import KeyspaceObserver, NotificationsOffError
from caches_runtime.observers.observer import Observer
from caches_runtime.observers.pattern import InvalidatesPattern, NotInvalidatedError
from caches_runtime.observers.pubsub import PubSubObserver

__all__ = [
    "Change",
    "Consumer",
    "Invalidates",
    "InvalidatesPattern",
    "KeyspaceObserver",
    "MalformedEventError",
    "NotInvalidatedError",
    "NotificationsOffError",
    "Observer",
    "PubSubObserver",
    "message",
]
