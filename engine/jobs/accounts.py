"""Who may use a server that has users: names, roles, passwords (argon2) and tokens (kept as their SHA-256)."""

import hashlib
import re
import secrets
import time
import unicodedata
from concurrent.futures import Future

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from engine.jobs.account import ROLES, SESSION_MS, Account, AccountError
from engine.jobs.job import now
from engine.jobs.store import JobStore
from engine.jobs.tables import tokens, users

REMEMBERED_SECONDS = 10.0
MAX_REMEMBERED = 4096
NAME = re.compile(r"[^\W_][\w .@-]{0,63}", re.UNICODE)


class Accounts:
    """The users of a store. A token is shown once; only its digest is kept."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self._known: dict[str, tuple[float, Account | None]] = {}

    def list(self) -> list[Account]:
        with self.store.reading() as connection:
            rows = connection.execute(select(users.c.id, users.c.name, users.c.role).order_by(users.c.name)).all()
        return [Account(*row) for row in rows]

    def count(self) -> int:
        with self.store.reading() as connection:
            return connection.execute(select(func.count()).select_from(users)).scalar_one()

    def named(self, name: str) -> Account:
        for account in self.list():
            if name in (account.name, account.id):
                return account
        raise AccountError(f"There is no user {name!r}.")

    def add(self, name: str, role: str = "user", password: str | None = None) -> Account:
        """A new user; AccountError where the name is taken or no name."""
        name = unicodedata.normalize("NFC", name).strip()
        if not NAME.fullmatch(name):
            raise AccountError("A user's name has 1 to 64 letters, digits, spaces or . @ - _ and begins with a letter or digit.")
        if role not in ROLES:
            raise AccountError(f"Expected one of the roles {', '.join(ROLES)}, but got {role!r}.")
        account = Account(f"{slug(name)}_{secrets.token_hex(4)}", name, role)
        row = {"id": account.id, "name": name, "role": role, "password": hash_password(password), "created": now()}

        def work(connection: Connection) -> None:
            taken = connection.execute(select(users.c.name)).scalars()
            if any(other.casefold() == name.casefold() for other in taken):
                raise AccountError("Duplicate username.")
            connection.execute(insert(users).values(**row))

        self.store.writer.call(work, durable=True)
        return account

    def change(self, user_id: str, *, role: str | None = None, password: str | None = None) -> None:
        """Give a user another role or password; a new password ends all sessions."""
        if role is not None and role not in ROLES:
            raise AccountError(f"Expected one of the roles {', '.join(ROLES)}, but got {role!r}.")
        values = {"role": role} if role is not None else {}
        if password is not None:
            values["password"] = hash_password(password) or ""

        def work(connection: Connection) -> None:
            connection.execute(update(users).where(users.c.id == user_id).values(**values))
            if password is not None:
                connection.execute(delete(tokens).where(tokens.c.user_id == user_id, tokens.c.kind == "session"))

        if values:
            self.store.writer.call(work, durable=True)
        self._known.clear()

    def remove(self, user_id: str) -> None:
        """Remove a user with all tokens; what they made stays on the disk."""

        def work(connection: Connection) -> None:
            connection.execute(delete(tokens).where(tokens.c.user_id == user_id))
            connection.execute(delete(users).where(users.c.id == user_id))

        self.store.writer.call(work, durable=True)
        self._known.clear()

    # tokens -----------------------------------------------------------------------------------------------------------

    def issue(self, user_id: str, kind: str = "token", lifetime_ms: int | None = None) -> str:
        """A new secret for a user, told only here."""
        token = f"loom_{secrets.token_urlsafe(32)}"
        expires = now() + lifetime_ms if lifetime_ms else None
        row = {"digest": digest(token), "user_id": user_id, "kind": kind, "created": now(), "expires": expires}
        self.store.writer.call(lambda connection: connection.execute(insert(tokens).values(**row)) and None, durable=True)
        return token

    def holder(self, token: str) -> Account | None:
        """Whose token it is. Remembered for a few seconds, so that a busy script costs no look-up a request."""
        key = digest(token)
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        query = select(users.c.id, users.c.name, users.c.role).join(tokens, tokens.c.user_id == users.c.id)
        query = query.where(tokens.c.digest == key, or_(tokens.c.expires.is_(None), tokens.c.expires > now()))
        with self.store.reading() as connection:
            row = connection.execute(query).first()
        found = Account(*row) if row else None
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = (time.monotonic() + REMEMBERED_SECONDS, found)
        return found

    def login(self, name: str, password: str) -> tuple[Account, str] | None:
        """A session for the right name and password; takes as long for an unknown name as for a wrong password."""
        query = select(users.c.id, users.c.name, users.c.role, users.c.password)
        with self.store.reading() as connection:
            rows = connection.execute(query).all()
        row = next((row for row in rows if row.name.casefold() == name.casefold()), None)
        if not check_password(row.password if row else None, password) or row is None:
            return None
        return Account(row.id, row.name, row.role), self.issue(row.id, "session", SESSION_MS)

    def revoke(self, token: str) -> None:
        key = digest(token)
        self.store.writer.call(lambda connection: connection.execute(delete(tokens).where(tokens.c.digest == key)) and None)
        self._known.clear()

    def drop_expired(self) -> "Future[None]":
        """Remove sessions that have run out."""

        def work(connection: Connection) -> None:
            connection.execute(delete(tokens).where(tokens.c.expires < now()))

        return self.store.writer.submit(work)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def slug(name: str) -> str:
    """The part of a user's folder name that a person can read."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:24] or "user"


def hash_password(password: str | None) -> str | None:
    if not password:
        return None
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def check_password(hashed: str | None, password: str) -> bool:
    """Whether the password fits. Without a hash a made-up one is checked, so that the time tells nothing."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = PasswordHasher()
    if hashed is None:
        hasher.hash(password)
        return False
    try:
        return hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
