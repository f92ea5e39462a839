"""A tier before Memcached: only by choice, and with no other promise than an age."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from caches_runtime.patterns.driving import run
from caches_runtime.tiers import AgeLimit, InvalidationLink, Memory, TieredCache
from unit.client.processes import processes
from unit.client.shards import shards
from unit.tiers.tiers import KEY

SECONDS = 0.3


def test_what_another_process_writes_is_read_when_the_memory_may_not_keep_it_any_longer() -> None:
    with shards(2) as servers:
        reader = TieredCache(servers.client(), Memory(seconds=SECONDS), AgeLimit())
        writer = TieredCache(servers.client(), Memory(seconds=SECONDS), AgeLimit())
        from_memory = 0
        for number in range(5):
            run(writer.set(KEY, b"%d" % number, 600))
            assert run(writer.get_many([KEY])) == {KEY: b"%d" % number}, "what it has written it reads itself"
            written = time.monotonic()
            while True:
                began = time.monotonic()
                value = int(run(reader.get_many([KEY]))[KEY])
                assert value == number or began < written + SECONDS
                from_memory += value != number
                if value == number:
                    break
        assert from_memory


def test_it_is_refused_where_nobody_asked_for_that() -> None:
    with shards(1) as servers, processes() as server, ExitStack() as closing:
        server.serve(1)
        memory = Memory()
        link = InvalidationLink(server.connection(1), memory)
        closing.callback(link.close)
        with pytest.raises(TypeError, match=r"Memcached never says what has changed.*AgeLimit\(\)"):
            TieredCache(servers.client(), memory, link)
