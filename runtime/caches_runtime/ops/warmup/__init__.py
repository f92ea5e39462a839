"""Fills a cache from a file, a URL, a database or another cache, while clients may use it already.

text_source.py, sql_source.py and cache_source.py read, records.py says what a record of a text is, redis_target.py and
memcached_target.py write, pace.py holds back, checkpoint.py remembers how far it came, gate.py lets traffic in; warmup.py does
the work. How traffic waits, and how a run goes on, is in docs/decisions/025-traffic-waits-for-a-config-map.md and
026-a-warm-up-never-overwrites.md.
"""
