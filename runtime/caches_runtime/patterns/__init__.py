"""Patterns of caching over any client of `connect`, `connect_async` or MemcachedClient."""
