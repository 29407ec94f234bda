"""Users: who there is, logging in and out."""

import asyncio

from aiohttp import web
from pydantic import BaseModel, Field, RootModel

from engine.jobs.account import SESSION_MS, Account, AccountError
from engine.server.access import Role, user_of
from engine.server.bodies import Answer, Body, json_answer, read_body
from engine.server.gate import COOKIE
from engine.server.refusal import Refusal, refuse
from engine.server.site import Site, site_of


class NewUser(Body):
    username: str = Field(min_length=1, max_length=64)


class Login(Body):
    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class Me(Answer):
    id: str
    name: str
    role: str


class AccountList(RootModel[list[Me]]):
    pass


class UserToken(Me):
    token: str


class UserChange(BaseModel):
    name: str = Field(max_length=64)
    role: str = "user"
    password: str | None = Field(default=None, max_length=1000)


async def get_users(request: web.Request) -> web.Response:
    """How users are kept; with ``--multi-user``, their names by id."""
    site = site_of(request)
    if site.options.login_needed:
        user = user_of(request)
        shown = site.accounts.list() if user.role is Role.ADMIN else [Account(user.id, user.name, "")]
        return json_answer({"storage": "server", "users": {account.id: account.name for account in shown}})
    if site.options.multi_user:
        names = {account.id: account.name for account in site.accounts.list()}
        return json_answer({"storage": "server", "users": {"default": "default", **names}})
    return json_answer({"storage": "server", "migrated": (site.userdata("default")).is_dir()})


async def post_users(request: web.Request) -> web.Response:
    """Add a user whose settings are kept apart; the id."""
    site = site_of(request)
    body = await read_body(request, NewUser)
    account = await add(site, body.username, "user", None)
    return json_answer(account.id)


async def add(site: Site, name: str, role: str, password: str | None) -> Account:
    try:
        return await asyncio.to_thread(site.accounts.add, name, role, password)
    except AccountError as problem:
        raise refuse(400, str(problem)) from None


async def list_accounts(request: web.Request) -> web.Response:
    """Every user with role."""
    accounts = site_of(request).accounts.list()
    return json_answer([{"id": account.id, "name": account.name, "role": account.role} for account in accounts])


async def add_account(request: web.Request) -> web.Response:
    """Add a user; the answer shows the token, this once."""
    site = site_of(request)
    body = await read_body(request, UserChange)
    account = await add(site, body.name, body.role, body.password)
    token = await asyncio.to_thread(site.accounts.issue, account.id)
    return json_answer({"id": account.id, "name": account.name, "role": account.role, "token": token})


async def remove_account(request: web.Request) -> web.Response:
    """Remove a user; what they made stays."""
    await asyncio.to_thread(site_of(request).accounts.remove, request.match_info["id"])
    return web.Response(status=204)


async def me(request: web.Request) -> web.Response:
    """Who the asker is."""
    user = user_of(request)
    return json_answer({"id": user.id, "name": user.name, "role": user.role.name.lower()})


async def login(request: web.Request) -> web.Response:
    """Log in with name and password; the session is a cookie that scripts of pages cannot read."""
    site = site_of(request)
    body = await read_body(request, Login)
    keys = [f"from {request.remote}", f"as {body.name.lower()}"]
    wait = max(site.attempts.wait(key) for key in keys)
    if wait > 0:
        raise Refusal(429, {"error": f"Too many failed logins; try again in {wait:.0f} s."}, Retry_After=f"{wait:.0f}")
    for key in keys:
        site.attempts.note(key)
    found = await asyncio.to_thread(site.accounts.login, body.name, body.password)
    if found is None:
        raise refuse(401, "Name or password is wrong.")
    for key in keys:
        site.attempts.forget(key)
    account, token = found
    response = json_answer({"id": account.id, "name": account.name, "role": account.role})
    secure = site.options.tls_certfile is not None
    response.set_cookie(COOKIE, token, max_age=SESSION_MS // 1000, httponly=True, samesite="Strict", secure=secure, path="/")
    return response


async def logout(request: web.Request) -> web.Response:
    """End the session."""
    if (token := request.cookies.get(COOKIE)) is not None:
        await asyncio.to_thread(site_of(request).accounts.revoke, token)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response
