"""Brings the data of a Redis or Valkey server elsewhere into a cache, while both serve, and cuts over without losing a write.

link.py speaks to one server, source.py and target.py are the two sides, values.py compares, migration.py does the work. Why it
copies, rather than replicates, is in docs/decisions/017-migrate-by-copying.md.
"""
