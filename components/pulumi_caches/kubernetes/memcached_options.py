"""Memcached's extended options (-o) that a person may give, as version 1.6.38 checks them, and what to use instead of the others."""

from collections.abc import Iterator

from pulumi_caches.arguments import Arguments, suggest

_FLAGS = {
    "maxconns_fast",
    "no_maxconns_fast",
    "no_hashexpand",
    "no_lru_crawler",
    "no_lru_maintainer",
    "no_slab_automove",
    "no_slab_reassign",
    "track_sizes",
}
_UINT32 = 2**32 - 1
_INT = 2**31 - 1
# Whole numbers: least and greatest.
_NUMBERS = {
    # Less than the default of 16 is refused by a server with many threads.
    "hashpower": (16, 32),
    "idle_timeout": (0, _INT),
    "lru_crawler_sleep": (0, 1_000_000),
    "lru_crawler_tocrawl": (0, _UINT32),
    "hot_lru_pct": (1, 79),
    "warm_lru_pct": (1, 79),
    "read_buf_mem_limit": (0, 4096),
    "slab_automove": (0, 2),
    "slab_automove_window": (3, _INT),
    "tail_repair_time": (10, _INT),
    "temporary_ttl": (0, _INT),
}
# Greater than zero, and at most.
_FACTORS = {"hot_max_factor": 1000.0, "warm_max_factor": 1000.0, "slab_automove_ratio": 1.0}
_CHOICES = {"hash_algorithm": ("jenkins", "murmur3", "xxh3")}
_KNOWN = sorted([*_FLAGS, *_NUMBERS, *_FACTORS, *_CHOICES])


def read_extra_options(arguments: Arguments, free_mib: int) -> tuple[str, ...]:
    """Reads and checks the options: each one that the server knows and nothing else decides, with a value that it takes.

    `free_mib` is what the pod's memory has left beside the items.
    """
    options = arguments.texts("extra_options", [])
    values: dict[str, str] = {}
    for option in options:
        name, separator, value = option.partition("=")
        if name in values:
            arguments.refuse("extra_options", f"{name} is there twice")
        if problem := _problem(name, value, bool(separator)):
            arguments.refuse("extra_options", f"{option!r}: {problem}")
        else:
            values[name] = value
    for problem in _contradictions(values, free_mib):
        arguments.refuse("extra_options", problem)
    return tuple(options)


def _contradictions(values: dict[str, str], free_mib: int) -> Iterator[str]:
    if int(values.get("hot_lru_pct", 20)) + int(values.get("warm_lru_pct", 40)) > 80:
        yield "hot_lru_pct (20 unless given) and warm_lru_pct (40) may be at most 80 together"
    if "temporary_ttl" in values and "no_lru_maintainer" in values:
        yield "temporary_ttl does nothing with no_lru_maintainer"
    table_mib = 2 ** int(values.get("hashpower", 0)) * 8 // 2**20
    if table_mib > free_mib:
        yield f"hashpower={values['hashpower']} takes {table_mib} MiB, and only {free_mib} MiB are left beside the items"


def _problem(name: str, value: str, has_value: bool) -> str:
    if name in _FLAGS:
        return "takes no value" if has_value else ""
    if name in _NUMBERS:
        least, greatest = _NUMBERS[name]
        fits = value.isascii() and value.isdigit() and least <= int(value) <= greatest
        return "" if fits else f"must be {name}=N, N a whole number from {least} to {greatest}"
    if name in _FACTORS:
        fits = _is_decimal(value) and 0 < float(value) <= _FACTORS[name]
        return "" if fits else f"must be {name}=N, N a number above 0, at most {_FACTORS[name]:g}"
    if name in _CHOICES:
        return "" if value in _CHOICES[name] else f"must be {name}= one of {', '.join(_CHOICES[name])}"
    return f"there is no such option here{suggest(name, _KNOWN)}; there are {', '.join(_KNOWN)}"


def _is_decimal(text: str) -> bool:
    whole, _, fraction = text.partition(".")
    return text.isascii() and whole.isdigit() and (fraction or "0").isdigit()
