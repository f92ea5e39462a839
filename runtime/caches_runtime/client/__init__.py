"""What an application uses a cache with: `connect` and `connect_async`, from the connection that a component exports."""

from caches_runtime.client.calls import BudgetSpentError, UncertainError
from caches_runtime.client.connect import connect, connect_async
from caches_runtime.client.connection import Connection, ConnectionRefusedError

__all__ = ["BudgetSpentError", "Connection", "ConnectionRefusedError", "UncertainError", "connect", "connect_async"]
