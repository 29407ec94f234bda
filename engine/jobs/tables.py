"""The tables of the job store; ``migrations/`` brings an older database up to this shape."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

VERSION = "0002"
"""The migration that yields the tables below."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only for a column whose type is exactly INTEGER."""

# Times are milliseconds since 1970; documents (prompt, extra, outputs ...) are JSON kept as text, so that they can be
# passed on without being parsed. ``rank`` is the priority's negative: what runs first sorts first.
jobs = Table(
    "jobs",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("owner", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("rank", Integer, nullable=False, default=0),
    Column("number", Float, nullable=False),
    Column("client_id", String(200)),
    Column("workflow_id", String(200)),
    Column("title", Text, nullable=False, default=""),
    Column("idempotency_key", String(200)),
    Column("prompt", Text, nullable=False),
    Column("extra", Text, nullable=False),
    Column("targets", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("finished", BigInteger),
    Column("worker", String(200)),
    Column("lease_until", BigInteger),
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancel_asked", Boolean, nullable=False, default=False),
    Column("outputs", Text),
    Column("meta", Text),
    Column("messages", Text),
    Column("error", Text),
    Column("outputs_count", Integer, nullable=False, default=0),
    Column("log", Text),
    Index("ix_jobs_order", "state", "rank", "number", "seq"),
    Index("ix_jobs_owner_order", "state", "owner", "rank", "number", "seq"),
    Index("ix_jobs_owner_key", "owner", "idempotency_key", unique=True),
    Index("ix_jobs_history", "owner", "finished", "seq"),
    Index("ix_jobs_finished", "finished", "seq"),
    sqlite_autoincrement=True,
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", Text),
    Column("created", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Index("ix_tokens_user", "user_id"),
)

assets = Table(
    "assets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", String(80), nullable=False),
    Column("folder", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("mime_type", String(100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("user_metadata", Text, nullable=False, default="{}"),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Index("ix_assets_owner", "owner", "created", "id"),
    Index("ix_assets_hash", "hash"),
)

asset_tags = Table(
    "asset_tags",
    metadata,
    Column("asset_id", String(36), ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(200), primary_key=True),
    Index("ix_asset_tags_tag", "tag"),
)
