"""The form in which values are stored: each comes back, and what was damaged never does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from caches_runtime.patterns import BYTES, TEXT, Codec, Strategy, json, msgpack
from caches_runtime.patterns.codecs import UndecodableError
from caches_runtime.patterns.entry import NO_TAGS, Entry
from hypothesis import given
from hypothesis import strategies as st


def plain(*, allow_infinity: bool) -> st.SearchStrategy[Any]:
    """What every language has."""
    numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=allow_infinity)
    return st.recursive(
        st.booleans() | numbers | st.text(),
        lambda of: st.lists(of | st.none(), max_size=4) | st.dictionaries(st.text(), of | st.none(), max_size=4),
    )


ZEROS = Codec("zeros", lambda count: bytes(count), len)
VALUES: st.SearchStrategy[tuple[Codec, Any]] = st.one_of(
    st.tuples(st.just(BYTES), st.binary(max_size=3000)),
    st.tuples(st.just(TEXT), st.text(max_size=3000)),
    st.tuples(st.just(msgpack()), plain(allow_infinity=True)),
    st.tuples(st.just(json()), plain(allow_infinity=False)),
    st.tuples(st.just(ZEROS), st.integers(1, 100_000)),
)
COMPRESSIONS: st.SearchStrategy[Literal["none", "zstd", "lz4"]] = st.sampled_from(["none", "zstd", "lz4"])


def entry(strategy: Strategy, value: Any) -> Entry:
    made = Entry.of(value, 1000.0, 0.5, NO_TAGS, strategy)
    assert made
    return made


@given(of=VALUES, compression=COMPRESSIONS, above=st.integers(0, 2000))
def test_every_value_comes_back_as_it_was(of: tuple[Codec, Any], compression: Literal["none", "zstd", "lz4"], above: int) -> None:
    codec, value = of
    strategy = Strategy(codec=codec, compression=compression, compress_above_bytes=above)
    made = entry(strategy, value)
    read = Entry.read(made.stored())
    assert read == made
    assert read.value(strategy) == value
    assert len(read.packed) <= read.size


@dataclass
class Measured:
    """Something of a program's own."""

    of: list[float | None]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, [1.0, {"a": math.inf}], (None, math.nan), Measured([None, math.inf])])
def test_what_json_has_no_word_for_is_refused_and_not_made_nothing(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON has no infinity and no NaN: choose a codec that has, such as msgpack"):
        json().encode(value)
    assert json().encode(Measured([None, 1.5])) == b'{"of":[null,1.5]}'


@given(of=VALUES, compression=COMPRESSIONS, at=st.integers(0, 5000), bit=st.integers(0, 7), cut=st.booleans())
def test_what_was_damaged_is_never_served(
    of: tuple[Codec, Any], compression: Literal["none", "zstd", "lz4"], at: int, bit: int, cut: bool
) -> None:
    codec, value = of
    strategy = Strategy(codec=codec, compression=compression, compress_above_bytes=0)
    stored = bytearray(entry(strategy, value).stored())
    at %= len(stored)
    if cut:
        del stored[at:]
    else:
        stored[at] ^= 1 << bit
    try:
        read = Entry.read(bytes(stored))
        seen = read.value(strategy)
    except UndecodableError:
        return
    assert seen in (value, None), "at most another time, or another kind without a value"


def test_a_value_of_another_kind_than_the_codec_s_is_refused() -> None:
    for codec in (BYTES, TEXT):
        with pytest.raises(TypeError, match=r"int is not (bytes|text): choose a codec that takes it"):
            entry(Strategy(codec=codec), 1)


def test_a_codec_s_name_is_short_and_plain() -> None:
    with pytest.raises(ValueError, match="its name has 1 to 32 printable characters of ASCII"):
        Codec("n" * 33, bytes, bytes)
