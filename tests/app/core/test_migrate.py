import asyncio
import shutil
from pathlib import Path

import psycopg
import pytest

from app.migrate import SCHEMA, Migration, MigrationRefused, migrate, pending, read_migrations

ONE, TWO = Migration(1, "0001_a.sql", "SELECT 1"), Migration(2, "0002_b.sql", "SELECT 2")


def applied(*migrations: Migration) -> list[tuple[int, str, str]]:
    return [(one.version, one.name, one.checksum) for one in migrations]


def test_what_is_not_applied_yet_is_pending() -> None:
    assert pending([ONE, TWO], []) == [ONE, TWO]
    assert pending([ONE, TWO], applied(ONE)) == [TWO]
    assert pending([ONE, TWO], applied(ONE, TWO)) == []


def test_a_changed_migration_is_refused() -> None:
    with pytest.raises(MigrationRefused, match=r"0001_a\.sql was applied with checksum .* never changes"):
        pending([ONE, TWO], applied(Migration(1, "0001_a.sql", "SELECT 3")))


def test_a_newer_database_is_refused() -> None:
    with pytest.raises(MigrationRefused, match=r"0002_b\.sql, which this version does not know \(its newest is 1\)"):
        pending([ONE], applied(ONE, TWO))


@pytest.mark.parametrize("names", [["0002_a.sql"], ["0001_a.sql", "0003_b.sql"], ["first.sql"]])
def test_a_wrong_numbering_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(MigrationRefused):
        read_migrations(tmp_path)


async def test_gateways_that_start_together_migrate_once(empty_database: str) -> None:
    done = await asyncio.gather(*[migrate(empty_database) for _ in range(4)])
    assert sorted(done, key=len) == [[], [], [], [path.name for path in sorted(SCHEMA.glob("*.sql"))]]


async def test_a_migration_that_fails_leaves_nothing(empty_database: str, tmp_path: Path) -> None:
    shutil.copy(SCHEMA / "0001_core.sql", tmp_path)
    (tmp_path / "0002_wrong.sql").write_text("CREATE TABLE half (x int); SELECT nonsense;")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await migrate(empty_database, tmp_path)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regclass('half'), to_regclass('orders')::text").fetchone() == (
            None,
            "orders",
        )
        assert connection.execute("SELECT version FROM schema_migrations").fetchall() == [(1,)]
