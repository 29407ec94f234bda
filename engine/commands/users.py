"""``main.py users``: who may use a server that others can reach."""

from __future__ import annotations

import argparse
import getpass
from typing import TYPE_CHECKING

from engine.settings import Settings

if TYPE_CHECKING:
    from engine.jobs.accounts import Accounts

ACTIONS = ("add", "list", "remove", "token", "role", "password")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="token: make another one; role, password: change it")
    parser.add_argument("name", nargs="?", help="the user's name")
    parser.add_argument("--role", choices=("viewer", "user", "admin"), help="what they may (the first user: admin; others: user)")
    parser.add_argument("--no-password", action="store_true", help="tokens only, no login in the browser")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.jobs.account import AccountError
    from engine.jobs.accounts import Accounts
    from engine.jobs.database import DatabaseError, database_url, open_database
    from engine.jobs.store import JobStore

    if arguments.action != "list" and not arguments.name:
        print(f"users {arguments.action} needs a name")
        return 2
    try:
        store = JobStore(open_database(database_url(settings.database_url, settings.folders())))
    except DatabaseError as error:
        print(error)
        return 1
    try:
        for line in carry_out(Accounts(store), arguments):
            print(line)
    except AccountError as error:
        print(error)
        return 2
    finally:
        store.close()
    return 0


def carry_out(accounts: Accounts, said: argparse.Namespace) -> list[str]:
    """Do what was said; what to print."""
    if said.action == "list":
        return [f"{account.name}  {account.role}  {account.id}" for account in accounts.list()] or ["There are no users."]
    if said.action == "add":
        role = said.role or ("user" if accounts.count() else "admin")
        password = None if said.no_password else ask_password(said.name)
        account = accounts.add(said.name, role, password)
        return [f"Added {account.name} ({account.role}).", f"Token, shown only now: {accounts.issue(account.id)}"]
    account = accounts.named(said.name)
    if said.action == "token":
        return [f"Token, shown only now: {accounts.issue(account.id)}"]
    if said.action == "role":
        accounts.change(account.id, role=said.role or "")
        return [f"{account.name} is {said.role} now."]
    if said.action == "password":
        accounts.change(account.id, password=(None if said.no_password else ask_password(account.name)) or "")
        return [f"{account.name} has another password; what was logged in with the old one is logged out."]
    accounts.remove(account.id)
    return [f"Removed {account.name}."]


def ask_password(name: str) -> str | None:
    return getpass.getpass(f"Password for {name} (empty: none): ") or None
