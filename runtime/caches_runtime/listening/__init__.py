"""Connections over which servers say, without being asked, what has changed, and the proof that they still do."""

from caches_runtime.listening.cluster_view import View
from caches_runtime.listening.listener import Ask, Follows, Listener
from caches_runtime.listening.masters import Masters

__all__ = ["Ask", "Follows", "Listener", "Masters", "View"]
