"""Who asks, and what they may: roles, users, and the folders that are theirs."""

from dataclasses import dataclass, replace
from enum import IntEnum

from aiohttp import web

from engine.folders import Folders

DEFAULT_ID = "default"
"""The one user of a server without login."""


class Role(IntEnum):
    """Each may all that the ones before may."""

    ANYONE = 0
    VIEWER = 1
    USER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    role: Role

    @property
    def sees_all(self) -> bool:
        return self.role is Role.ADMIN


LOCAL = User(DEFAULT_ID, DEFAULT_ID, Role.ADMIN)
NOBODY = User("", "", Role.ANYONE)
USER = web.RequestKey("user", User)


def user_of(request: web.Request) -> User:
    found: User = request.get(USER, NOBODY)
    return found


def scope(request: web.Request) -> str | None:
    """Whose jobs the asker may see and change: their own, or (``None``) everyone's."""
    user = user_of(request)
    return None if user.sees_all else user.id


def folders_of(folders: Folders, owner: str) -> Folders:
    """The input, output and temp folders of one user. The default user has the plain ones; names cannot lead to another's."""
    if owner == DEFAULT_ID:
        return folders
    return replace(
        folders,
        input=folders.work("input") / "users" / owner,
        output=folders.work("output") / "users" / owner,
        temp=folders.work("temp") / "users" / owner,
    )
