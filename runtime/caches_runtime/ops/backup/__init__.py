"""Backups of Redis and Valkey caches: made, verified, kept, restored.

shards.py finds which servers to read, stream.py reads one as a replica does, throwaway.py verifies what was read, sealing.py
encrypts it, store.py keeps it, manifest.py says what a backup is, retention.py what goes; backup.py and restore.py do the work.
Why it streams, and what a file is encrypted with, is in docs/decisions/023-backups-are-streamed.md and 024-backups-are-age-files.md.
"""
