"""Keeps caches alike while clients write to them: one follows another, or each follows all.

site.py is one cache, values.py and streams.py read and write its keys, events.py hears of changes and backlog.py holds them,
decision.py says which site is right, notes.py remembers what was made alike, replicator.py does the work, compare.py compares. Why
keys are compared by value, and no writes are replayed, is in docs/decisions/043-replicate-by-comparing.md.
"""
