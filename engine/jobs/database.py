"""Opening the database: SQLite in a file by default, PostgreSQL by URL; its tables made or migrated."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, insert, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import QueuePool

from engine.folders import Folders
from engine.jobs import tables

FORMS = "Give sqlite:///path/to/file or postgresql://user:password@host/name."
MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseError(Exception):
    """The database cannot be used; the message says why and what to do."""


def database_url(given: str | None, folders: Folders) -> str:
    """The database that was named, else a SQLite file in the user folder."""
    return given or f"sqlite:///{folders.work('user') / 'loom.db'}"


def open_database(url: str) -> Engine:
    """An engine for ``url`` (``sqlite:///path`` or ``postgresql://user@host/name``) whose tables are of this version."""
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise DatabaseError(f"{url!r} is no database URL. {FORMS}") from None
    if kind == "sqlite":
        engine = open_sqlite(url, parsed.database)
    elif kind in ("postgresql", "postgres"):
        engine = open_postgres(parsed)
    else:
        raise DatabaseError(f"Jobs cannot be kept in {kind}. {FORMS}")
    try:
        migrate(engine)
    except OperationalError as problem:
        where = parsed.render_as_string(hide_password=True)
        raise DatabaseError(f"The database {where} cannot be used: {str(problem.orig).strip()}") from None
    return engine


def open_postgres(url: URL) -> Engine:
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=8, max_overflow=8)
    except ModuleNotFoundError:
        raise DatabaseError('PostgreSQL needs its driver: pip install "psycopg[binary]"') from None


def open_sqlite(url: str, path: str | None) -> Engine:
    if not path or path == ":memory:":
        raise DatabaseError("The job store needs a file; a database in memory would lose the queue. Use sqlite:///path.")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=QueuePool, pool_size=8, max_overflow=8, connect_args={"timeout": 30})
    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin_immediate)
    return engine


def set_pragmas(connection: Any, _record: object) -> None:
    """Write-ahead log: readers never wait for the writer. Transactions are begun by hand (``begin_immediate``).

    A commit does not wait for the disk (NORMAL); who needs that waits for ``syncer``.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000", "cache_size=-16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def syncer(engine: Engine) -> Callable[[], None] | None:
    """What brings all commits so far to the disk; None where every commit does that by itself.

    SQLite's log is one file: once it is synced, so is every transaction in it, and what has been moved from it to the
    database was synced before.
    """
    if engine.dialect.name != "sqlite":
        return None
    log = f"{engine.url.database}-wal"

    def sync() -> None:
        file = os.open(log, os.O_RDWR)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    return sync


def begin_immediate(connection: Any) -> None:
    """A transaction that may write takes the lock at its start; a reader marks itself ``reading`` and takes none.

    Said to the driver itself: by way of SQLAlchemy these words take a seventh of a small change's time.
    """
    words = "BEGIN" if connection.get_execution_options().get("reading", False) else "BEGIN IMMEDIATE"
    try:
        connection.connection.driver_connection.execute(words)
    except sqlite3.Error:
        connection.exec_driver_sql(words)  # the same failure, as SQLAlchemy's


def migrate(engine: Engine) -> None:
    """Create the tables in an empty database; bring an older one up to date; refuse a newer one."""
    with engine.begin() as connection:
        names = set(inspect(connection).get_table_names())
        if not names:
            tables.metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:v)"), {"v": tables.VERSION})
            return
        found = None
        if "alembic_version" in names:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found == tables.VERSION:
        return
    if found is not None and found > tables.VERSION:
        raise DatabaseError(f"The database is of version {found}, newer than this program's {tables.VERSION}. Update it.")
    upgrade(engine)


def upgrade(engine: Engine, version: str = "head") -> None:
    """Run the migrations that are missing."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def keep(connection: Any, name: str, value: str) -> None:
    """Set one of the store's own marks (such as whether the queue is paused)."""
    connection.execute(tables.marks.delete().where(tables.marks.c.name == name))
    connection.execute(insert(tables.marks).values(name=name, value=value))
