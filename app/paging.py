"""Lists in pages: newest first, 500 at most, and the next page begins where this one ended whatever came in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import sql
from psycopg.rows import TupleRow

from app.borrow import borrowed
from app.database import Pool
from app.params import Whole

DEFAULT_PAGE = 200


class Where:
    """Conditions joined by AND, with their parameters."""

    def __init__(self) -> None:
        self._conditions: list[sql.SQL] = []
        self.parameters: list[Any] = []

    def add(self, condition: str, value: object) -> None:
        """A condition with one `%s`, or none; it is a constant, `value` comes from outside. Nothing when `value` is None."""
        if value is not None:
            self._conditions.append(sql.SQL(condition))
            if "%s" in condition:
                self.parameters.append(value)

    def before(self, column: str, cursor: Whole | None) -> None:
        """Rows that come after the cursor's, in descending order of `column`."""
        self.add(f"{column} < %s", None if cursor is None else int(cursor))

    def clause(self) -> sql.Composable:
        if not self._conditions:
            return sql.SQL("")
        return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(self._conditions)


async def page(pool: Pool, select: str, where: Where, order: str, limit: int) -> tuple[list[TupleRow], bool]:
    """The rows of a page, and whether more follow. `select` and `order` are constants."""
    query = sql.SQL(select) + where.clause() + sql.SQL(f" ORDER BY {order} LIMIT %s")
    async with borrowed(pool) as connection:
        cursor = await connection.execute(query, [*where.parameters, limit + 1])
        rows = await cursor.fetchall()
    return rows[:limit], len(rows) > limit


async def rows_of(pool: Pool, query: str, parameters: Sequence[Any] = ()) -> list[TupleRow]:
    """All rows of a constant query."""
    async with borrowed(pool) as connection:
        cursor = await connection.execute(sql.SQL(query), parameters)
        return await cursor.fetchall()


def raw(text: str | None) -> msgspec.Raw:
    """A number's text as JSON; null when there is none."""
    return msgspec.Raw(b"null" if text is None else text.encode())
