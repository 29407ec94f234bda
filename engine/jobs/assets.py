"""Files that users keep, by id: their content's hash, their tags, what is noted of them."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from engine.jobs.job import dump, now
from engine.jobs.store import JobStore
from engine.jobs.tables import asset_tags, assets

SORTS = {"name": assets.c.name, "created_at": assets.c.created, "updated_at": assets.c.updated, "size": assets.c.size}

COLUMNS = ("id", "owner", "name", "hash", "folder", "path", "mime_type", "size", "created", "updated")


@dataclass(frozen=True, slots=True)
class Asset:
    """``folder`` and ``path`` say where the file is: a work or model folder, and the name below it."""

    id: str
    owner: str
    name: str
    hash: str
    folder: str
    path: str
    mime_type: str
    size: int
    user_metadata: dict[str, Any]
    created: int
    updated: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which assets a page is cut from; ``after`` is the last id of the page before."""

    owner: str | None = None
    tags_all: Sequence[str] = ()
    tags_any: Sequence[str] = ()
    tags_none: Sequence[str] = ()
    name_contains: str = ""
    hash: str = ""
    after: str = ""
    sort: str = "created_at"
    descending: bool = True
    limit: int = 20
    offset: int = 0


class Assets:
    """The assets of a store."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def add(self, asset: Asset) -> Asset:
        """Register a file; the one that is registered already, if the same owner has the same file."""

        def work(connection: Connection) -> Asset:
            same = and_(assets.c.owner == asset.owner, assets.c.folder == asset.folder, assets.c.path == asset.path)
            row = connection.execute(select(assets).where(same)).first()
            if row is not None:
                changed = {"hash": asset.hash, "size": asset.size, "updated": now()}
                connection.execute(update(assets).where(assets.c.id == row.id).values(**changed))
                put_tags(connection, row.id, asset.tags)
                return read(connection, connection.execute(select(assets).where(assets.c.id == row.id)).one())
            values = {name: getattr(asset, name) for name in COLUMNS}
            connection.execute(insert(assets).values(**values, user_metadata=dump(asset.user_metadata)))
            put_tags(connection, asset.id, asset.tags)
            return asset

        return self.store.writer.call(work, durable=True)

    def get(self, asset_id: str, owner: str | None) -> Asset | None:
        with self.store.reading() as connection:
            query = select(assets).where(assets.c.id == asset_id)
            row = connection.execute(query if owner is None else query.where(assets.c.owner == owner)).first()
            return read(connection, row) if row is not None else None

    def by_hash(self, digest: str, owner: str | None) -> Asset | None:
        with self.store.reading() as connection:
            query = select(assets).where(assets.c.hash == digest)
            row = connection.execute(query if owner is None else query.where(assets.c.owner == owner)).first()
            return read(connection, row) if row is not None else None

    def page(self, wanted: Filter) -> tuple[list[Asset], int, bool]:
        """A page, how many there are in all, and whether more follow."""
        conditions = conditions_of(wanted)
        column = SORTS[wanted.sort]
        with self.store.reading() as connection:
            total = connection.execute(select(func.count()).select_from(assets).where(*conditions)).scalar_one()
            if wanted.after:
                last = connection.execute(select(assets.c.id, column).where(assets.c.id == wanted.after)).first()
                if last is None:
                    raise LookupError(wanted.after)
                past = (
                    (column < last[1], assets.c.id < last[0]) if wanted.descending else (column > last[1], assets.c.id > last[0])
                )
                conditions.append(or_(past[0], and_(column == last[1], past[1])))
            order = (column.desc(), assets.c.id.desc()) if wanted.descending else (column, assets.c.id)
            query = select(assets).where(*conditions).order_by(*order).offset(wanted.offset).limit(wanted.limit + 1)
            rows = connection.execute(query).all()
            return [read(connection, row) for row in rows[: wanted.limit]], total, len(rows) > wanted.limit

    def change(self, asset_id: str, *, name: str | None = None, user_metadata: dict[str, Any] | None = None) -> None:
        values: dict[str, Any] = {"updated": now()}
        if name is not None:
            values["name"] = name
        if user_metadata is not None:
            values["user_metadata"] = dump(user_metadata)
        self.store.writer.call(
            lambda connection: connection.execute(update(assets).where(assets.c.id == asset_id).values(**values))
        )

    def tag(self, asset_id: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        def work(connection: Connection) -> None:
            put_tags(connection, asset_id, add)
            gone = and_(asset_tags.c.asset_id == asset_id, asset_tags.c.tag.in_(list(remove)))
            connection.execute(delete(asset_tags).where(gone))

        self.store.writer.call(work)

    def remove(self, asset_id: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(asset_tags).where(asset_tags.c.asset_id == asset_id))
            connection.execute(delete(assets).where(assets.c.id == asset_id))

        self.store.writer.call(work, durable=True)

    def tags(self, owner: str | None, prefix: str = "", limit: int = 100, offset: int = 0) -> tuple[list[tuple[str, int]], int]:
        """The tags in use with how often; and how many there are."""
        query = select(asset_tags.c.tag, func.count().label("n")).join(assets, assets.c.id == asset_tags.c.asset_id)
        query = query.where(asset_tags.c.tag.startswith(prefix, autoescape=True)).group_by(asset_tags.c.tag)
        query = query if owner is None else query.where(assets.c.owner == owner)
        with self.store.reading() as connection:
            found = [(row[0], row[1]) for row in connection.execute(query.order_by(func.count().desc(), asset_tags.c.tag)).all()]
        return found[offset : offset + limit], len(found)


def new_asset(owner: str, name: str, digest: str, folder: str, path: str, mime: str, size: int, tags: Iterable[str]) -> Asset:
    when = now()
    kept = tuple(dict.fromkeys(tags))
    return Asset(str(uuid.uuid4()), owner, name, digest, folder, path, mime, size, {}, when, when, kept)


def read(connection: Connection, row: Any) -> Asset:
    query = select(asset_tags.c.tag).where(asset_tags.c.asset_id == row.id).order_by(asset_tags.c.tag)
    tags = tuple(connection.execute(query).scalars())
    known = json.loads(row.user_metadata)
    return Asset(
        row.id,
        row.owner,
        row.name,
        row.hash,
        row.folder,
        row.path,
        row.mime_type,
        row.size,
        known,
        row.created,
        row.updated,
        tags,
    )


def put_tags(connection: Connection, asset_id: str, tags: Iterable[str]) -> None:
    known = set(connection.execute(select(asset_tags.c.tag).where(asset_tags.c.asset_id == asset_id)).scalars())
    rows = [{"asset_id": asset_id, "tag": tag} for tag in dict.fromkeys(tags) if tag not in known]
    if rows:
        connection.execute(insert(asset_tags), rows)


def conditions_of(wanted: Filter) -> list[ColumnElement[bool]]:
    tagged = select(asset_tags.c.asset_id)
    found: list[ColumnElement[bool]] = [] if wanted.owner is None else [assets.c.owner == wanted.owner]
    found += [assets.c.id.in_(tagged.where(asset_tags.c.tag == tag)) for tag in wanted.tags_all]
    if wanted.tags_any:
        found.append(assets.c.id.in_(tagged.where(asset_tags.c.tag.in_(wanted.tags_any))))
    if wanted.tags_none:
        found.append(assets.c.id.not_in(tagged.where(asset_tags.c.tag.in_(wanted.tags_none))))
    if wanted.name_contains:
        found.append(assets.c.name.icontains(wanted.name_contains, autoescape=True))
    if wanted.hash:
        found.append(assets.c.hash == wanted.hash)
    return found
