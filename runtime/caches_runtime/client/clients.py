"""redis-py's clients, with each call made by Calls."""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from caches_runtime.client.calls import PIPELINE, UNDER_WAY, Calls
from caches_runtime.client.sockets import Turn


class Cache(redis.Redis):
    """Of one server, or of a master that sentinels name."""

    def __init__(self, calls: Calls, **more: Any) -> None:
        super().__init__(**more)
        self._calls = calls

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One call."""
        return self._calls.run(args[0], lambda: super(Cache, self).execute_command(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """Commands that are sent together, in one call."""
        return _bounded(self._calls, super().pipeline(transaction, shard_hint))


class ClusterCache(redis.RedisCluster):
    """Of a cluster."""

    def __init__(self, calls: Calls, **more: Any) -> None:
        self._calls = calls
        super().__init__(**more)
        self.nodes_manager._initialization_lock = Turn()  # type: ignore[assignment]

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One call."""
        return self._calls.run(args[0], lambda: super(ClusterCache, self).execute_command(*args, **options))  # type: ignore[no-untyped-call]

    def get_node(self, host: str | None = None, port: int | None = None, node_name: str | None = None) -> Any:
        """Also, for a call, one that a slot moves to and that has none yet: redis-py knows nothing of it when it is to ask there."""
        found = super().get_node(host, port, node_name)  # type: ignore[no-untyped-call]
        if found is None and node_name and UNDER_WAY.get():
            address, _, number = node_name.rpartition(":")
            found = redis.cluster.ClusterNode(address, int(number), redis.cluster.PRIMARY)  # type: ignore[no-untyped-call]
            self.nodes_manager.nodes_cache[found.name] = found
        return found

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        """Commands that are sent together, in one call."""
        return _bounded(self._calls, super().pipeline(transaction, shard_hint))  # type: ignore[no-untyped-call]


class AsyncCache(redis.asyncio.Redis):
    """Of one server, or of a master that sentinels name."""

    def __init__(self, calls: Calls, **more: Any) -> None:
        super().__init__(**more)
        self._calls = calls

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One call."""
        return await self._calls.run_async(args[0], lambda: super(AsyncCache, self).execute_command(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """Commands that are sent together, in one call."""
        return _bounded_async(self._calls, super().pipeline(transaction, shard_hint))


class AsyncClusterCache(redis.asyncio.RedisCluster):
    """Of a cluster."""

    def __init__(self, calls: Calls, **more: Any) -> None:
        self._calls = calls
        super().__init__(**more)

    def use(self, kind: Any) -> None:
        """Before it connects: the class of its connections, which it takes none of."""
        self.nodes_manager.connection_kwargs["connection_class"] = kind
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = kind

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One call."""
        return await self._calls.run_async(args[0], lambda: super(AsyncClusterCache, self).execute_command(*args, **options))

    def get_node(self, host: str | None = None, port: int | None = None, node_name: str | None = None) -> Any:
        """As ClusterCache's."""
        found = super().get_node(host, port, node_name)
        if found is None and node_name and UNDER_WAY.get():
            address, _, number = node_name.rpartition(":")
            own = self.nodes_manager.connection_kwargs
            found = redis.asyncio.cluster.ClusterNode(address, int(number), redis.cluster.PRIMARY, **own)
            self.nodes_manager.nodes_cache[found.name] = found
        return found

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        """Commands that are sent together, in one call."""
        return _bounded_async(self._calls, super().pipeline(transaction, shard_hint))


def _bounded(calls: Calls, pipeline: Any) -> Any:
    execute = pipeline.execute
    pipeline.execute = lambda *arguments, **options: calls.run(PIPELINE, lambda: execute(*arguments, **options))
    return pipeline


def _bounded_async(calls: Calls, pipeline: Any) -> Any:
    execute = pipeline.execute
    pipeline.execute = lambda *arguments, **options: calls.run_async(PIPELINE, lambda: execute(*arguments, **options))
    return pipeline
