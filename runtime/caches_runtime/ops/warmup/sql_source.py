"""Entries from a query of a database, row after row as the server sends them, in the order of their keys, so that a run can go on."""

import contextlib
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.warmup.entries import Bad, Entry, Position, Source
from caches_runtime.ops.warmup.records import COLUMNS, BadRecordError, of_row

_ROWS = 1000
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
# PostgreSQL's words, which come without a code while there is no connection.
_NOT_LET_IN = re.compile(r"FATAL: .*(authentication failed|does not exist|no pg_hba\.conf entry)")


@contextlib.contextmanager
def open_database(address: str, query: str) -> Iterator[Source]:
    """Raises RefusedError when the database or the query is none, UnfinishedError when it does not answer."""
    engine = _engine(address)
    # One that is not there would be made.
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
        raise RefusedError(f"there is no file {engine.url.database}")
    title = engine.url.set(query={}).render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(stream_results=True, yield_per=_ROWS)
            # As it is: no colon in it is a parameter of ours.
            rows = sa.text(query.strip().rstrip(";").replace(":", r"\:"))
            names = _names(connection, rows)
            warm = rows.columns(*(sa.column(name) for name in names)).subquery("warm")

            def read(position: Position) -> Iterator[tuple[Entry | Bad, Position]]:
                select = sa.select(warm).order_by(warm.c.key)
                if position is not None:
                    select = select.where(warm.c.key > position)
                for number, row in enumerate(connection.execute(select), start=1):
                    place = f"row {number}{' after where it went on' if position is not None else ''}"
                    key = row._mapping["key"]
                    # What can't be compared with is not gone on from.
                    yield _record(dict(row._mapping), place), key if isinstance(key, str | int) else position

            yield Source(title, f"{title} {query}", read)
    except sa.exc.DBAPIError as error:
        raise UnfinishedError(f"{title}: {_reason(error)}") from None
    finally:
        engine.dispose()


def _engine(address: str) -> sa.Engine:
    try:
        url = sa.make_url(address)
        return sa.create_engine(url.set(drivername=_DRIVERS.get(url.drivername, url.drivername)))
    except sa.exc.NoSuchModuleError as error:
        raise RefusedError(f"there is no such kind of database: {error}") from None
    except ModuleNotFoundError as error:
        raise RefusedError(f"the image has no driver for that database ({error.name}): build one that has it") from None
    except (sa.exc.ArgumentError, ValueError):
        raise RefusedError("the source is not a database's URL, such as postgresql://USER:PASSWORD@HOST/NAME") from None


def _names(connection: sa.Connection, rows: sa.TextClause) -> list[str]:
    """The query's columns; no row is read."""
    probe = sa.select(sa.text("*")).select_from(rows.columns().subquery("warm")).where(sa.false())
    try:
        names = list(connection.execute(probe).keys())
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise RefusedError(f"the query can't be run: {_reason(error)}") from None
    if not {"key", "value"} <= set(names) <= set(COLUMNS) or len(set(names)) < len(names):
        raise RefusedError(f"the query must have the columns key and value, perhaps ttl, and no other: it has {', '.join(names)}")
    return names


def _record(row: dict[str, Any], place: str) -> Entry | Bad:
    value = row["value"]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        row["value"] = str(value)
    elif isinstance(value, dict | list):
        row["value"] = json.dumps(value)
    try:
        return of_row(row, place)
    except BadRecordError as error:
        return Bad(place, str(error))


def _reason(error: sa.exc.DBAPIError) -> str:
    """What the server says, in a line, without the query and its parameters."""
    reason = str(error.orig).strip().partition("\n")[0]
    if _NOT_LET_IN.search(reason):
        raise RefusedError(f"the database does not let in: {reason}") from None
    return reason
