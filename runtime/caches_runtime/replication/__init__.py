"""Keeps caches alike while clients write to them: one follows another, or each follows all.

site.py is one cache, values.py and streams.py read and write its keys, events.py and tracking.py hear of changes and backlog.py holds
them, session.py is all caches while they are connected, decision.py says which of them is right, notes.py remembers what was made alike,
replicator.py does the work, compare.py compares. Why keys are compared, and no writes are replayed, is in
docs/decisions/043-replicate-by-comparing.md.
"""
