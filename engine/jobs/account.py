"""A user as the rest of the program sees it: plain values, no database."""

from dataclasses import dataclass

ROLES = ("viewer", "user", "admin")
SESSION_MS = 30 * 86_400_000


class AccountError(Exception):
    """A user that cannot be made, changed or found."""


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str
    role: str
