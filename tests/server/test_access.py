"""Who may what: every route by every role, and no user's things reach another."""

import shutil
import ssl
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from engine.server.access import Role
from engine.server.app import who_may
from engine.server.options import Options
from engine.server.routes import ROUTES
from tests.server.conftest import Reply, Server, chain, waiting
from tests.server.process import PROJECT, Process
from tests.server.test_files import png, upload

ROLES = {"anyone": Role.ANYONE, "viewer": Role.VIEWER, "user": Role.USER, "admin": Role.ADMIN}


class Crowd:
    """A server with login, and a token for each user."""

    def __init__(self, server: Server) -> None:
        self.server = server
        server.get("/prompt")
        accounts = server.site.accounts
        self.ids: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        for name, role in (("viewer", "viewer"), ("user", "user"), ("admin", "admin"), ("ann", "user"), ("bob", "user")):
            account = accounts.add(name, role, "ann's password" if name == "ann" else None)
            self.ids[name], self.tokens[name] = account.id, accounts.issue(account.id)

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"} if name in self.tokens else {}

    def ask(self, name: str, method: str, path: str, **how: Any) -> Reply:
        return self.server.request(method, path, headers={**self.headers(name), **how.pop("headers", {})}, **how)

    def run(self, name: str, prompt: Any, **more: Any) -> str:
        found: str = self.ask(name, "POST", "/prompt", json={"prompt": prompt, **more}).json["prompt_id"]
        return found

    def wait(self, name: str, prompt_id: str) -> Any:
        self.server.headers = self.headers(name)
        try:
            return self.server.wait(prompt_id)
        finally:
            self.server.headers = {}


@pytest.fixture
def crowd(make_server: Callable[..., Server]) -> Crowd:
    return Crowd(make_server(login=True))


@pytest.mark.parametrize("name", ROLES)
def test_every_route_by_every_role(crowd: Crowd, name: str) -> None:
    role = ROLES[name]
    for route in ROUTES:
        if route.answer in ("websocket", "text/event-stream"):
            continue
        for path in route.paths():
            filled = path.replace("{path:.+}", "x").replace("{file:.+}", "x").replace("{name:.+}", "x")
            for part in ("prompt_id", "node_class", "folder", "index", "file", "dest", "id", "pack", "kind", "hash"):
                filled = filled.replace(f"{{{part}}}", "x")
            for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
                reply = crowd.ask(name, method, filled, json={} if method in ("POST", "PUT", "PATCH") else None)
                allowed = role >= route.role
                assert reply.status < 500, (name, method, path, reply.text)
                if allowed:
                    assert reply.status != 401 or path.endswith("/login"), (name, method, path)
                else:
                    assert reply.status == (401 if role is Role.ANYONE else 403), (name, method, path)


def test_a_wrong_token_is_nobody(crowd: Crowd) -> None:
    for headers in (
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic xyz"},
        {"Authorization": "Bearer "},
        {"Cookie": "loom_session=x"},
    ):
        reply = crowd.server.get("/queue", headers=headers)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert crowd.server.get("/").status == 303
    assert crowd.server.get("/?token=" + crowd.tokens["ann"]).status == 303
    assert crowd.server.get("/login").status == 200


def test_nothing_of_one_user_reaches_another(crowd: Crowd) -> None:
    ask = crowd.ask
    done = crowd.run("ann", {"1": {"class_type": "Picture", "inputs": {}}}, title="ann's secret")
    crowd.wait("ann", done)
    running = crowd.run("ann", waiting(), client_id="shared")
    queued = crowd.run("ann", chain())
    ask("ann", "POST", "/userdata/workflows%2Fw.json", data=b'{"1": {"class_type": "Show", "inputs": {}}}')
    ask("ann", "POST", "/settings", json={"a": "ann's"})
    crowd.server.headers = crowd.headers("ann")
    asset = upload(crowd.server, png()).json["asset"]
    crowd.server.headers = {}
    assert ask("ann", "GET", "/view?filename=loom_00001_.png").status == 200

    for path in (
        "/queue",
        "/history",
        "/api/jobs",
        "/settings",
        "/api/assets",
        "/api/tags",
        "/api/workflows",
        "/users",
        "/metrics",
    ):
        told = ask("bob", "GET", path).text
        for secret in ("ann", done, running, queued, asset["id"], "w.json"):
            assert secret not in told, (path, secret)
    for path in (
        f"/api/jobs/{done}", f"/api/jobs/{running}", f"/api/jobs/{done}/log", f"/api/jobs/{running}/events",
        f"/api/assets/{asset['id']}",
        f"/api/assets/{asset['id']}/content", "/view?filename=loom_00001_.png", "/view?filename=a.png&type=input",
        f"/view?filename={asset['asset_hash']}", "/userdata/workflows%2Fw.json", "/api/workflows/w",
        f"/view?filename=loom_00001_.png&subfolder=users/{crowd.ids['ann']}", f"/view?filename=x&subfolder=../{crowd.ids['ann']}",
        f"/userdata/..%2F{crowd.ids['ann']}%2Fworkflows%2Fw.json",
    ):  # fmt: skip
        assert ask("bob", "GET", path).status in (403, 404), path
    assert ask("bob", "GET", f"/history/{done}").json == {}
    assert ask("bob", "HEAD", f"/api/assets/hash/{asset['asset_hash']}").status == 404

    assert ask("bob", "POST", "/api/jobs/cancel", json={"job_ids": [running, queued]}).json == {"cancelled": False}
    ask("bob", "POST", "/interrupt")
    ask("bob", "POST", "/interrupt", json={"prompt_id": running})
    ask("bob", "POST", "/queue", json={"clear": True})
    ask("bob", "POST", "/queue", json={"delete": [queued]})
    ask("bob", "POST", "/history", json={"clear": True})
    ask("bob", "POST", "/history", json={"delete": [done]})
    for method, path in (
        ("DELETE", f"/api/jobs/{done}"),
        ("PATCH", f"/api/jobs/{queued}"),
        ("DELETE", f"/api/assets/{asset['id']}"),
    ):
        assert ask("bob", method, path, json={}).status == 404
    assert ask("bob", "POST", f"/api/jobs/{queued}/move", json={"place": "front"}).status == 404
    assert ask("bob", "POST", "/prompt", json={"prompt": chain(), "prompt_id": queued}).status == 400
    assert ask("bob", "POST", "/api/assets/from-hash", json={"hash": asset["asset_hash"], "name": "x"}).status == 404

    queue = ask("ann", "GET", "/queue").json
    assert [item[1] for item in queue["queue_running"] + queue["queue_pending"]] == [running, queued]
    assert ask("ann", "GET", f"/history/{done}").json.keys() == {done}
    assert ask("admin", "GET", f"/api/jobs/{queued}").status == 200
    ask("admin", "POST", "/interrupt", json={"prompt_id": running})
    assert crowd.wait("ann", queued)["outputs"] == {"3": {"text": ["2"]}}


def test_the_same_client_id_of_two_users_is_two_clients(crowd: Crowd) -> None:
    anns = crowd.server.socket("same", headers=crowd.headers("ann"))
    bobs = crowd.server.socket("same", headers=crowd.headers("bob"))
    bobs.send({"type": "watch", "data": {"jobs": ["*"]}})
    anns.until_end(crowd.run("ann", chain(), client_id="same"))
    mine = crowd.run("bob", chain(5), client_id="same")
    heard = bobs.until_end(mine)
    assert {m["data"]["prompt_id"] for m in heard if "prompt_id" in m["data"]} == {mine}


def test_a_websocket_needs_login_too(crowd: Crowd) -> None:
    import aiohttp

    with pytest.raises(aiohttp.WSServerHandshakeError):
        crowd.server.socket("x")
    assert crowd.server.socket(f"x&token={crowd.tokens['bob']}").receive()["type"] == "status"


def test_a_session_is_a_cookie_that_pages_cannot_read(crowd: Crowd) -> None:
    server = crowd.server
    reply = server.post("/api/login", json={"name": "ann", "password": "ann's password"})
    assert reply.status == 200
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert server.get("/me", headers=session).json["name"] == "ann"
    assert server.post("/prompt", json={"prompt": chain()}, headers={**session, "Origin": "http://evil.example"}).status == 403
    assert server.post("/logout", headers=session).status == 204
    server.call(clear_cookies(server))
    assert server.get("/me", headers=session).status == 401


async def clear_cookies(server: Server) -> None:
    server.session.cookie_jar.clear()


def test_logins_are_few_a_minute(crowd: Crowd) -> None:
    wrong = {"name": "ann", "password": "guess"}
    statuses = [crowd.server.post("/login", json=wrong).status for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    reply = crowd.server.post("/login", json={"name": "ann", "password": "ann's password"})
    assert reply.status == 429
    assert int(reply.headers["Retry-After"]) <= 60


def test_an_administrator_keeps_accounts(crowd: Crowd) -> None:
    made = crowd.ask("admin", "POST", "/accounts", json={"name": "cleo", "role": "viewer"}).json
    token = {"Authorization": f"Bearer {made['token']}"}
    assert crowd.server.get("/me", headers=token).json["role"] == "viewer"
    assert crowd.ask("admin", "POST", "/accounts", json={"name": "Cleo"}).status == 400
    assert crowd.ask("admin", "POST", "/accounts", json={"name": "../x"}).status == 400
    assert "cleo" in crowd.ask("admin", "GET", "/accounts").text
    assert crowd.ask("admin", "DELETE", f"/accounts/{made['id']}").status == 204
    assert crowd.server.get("/me", headers=token).status == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8188", "127.0.0.1.evil.example", "", "[::1", "user@127.0.0.1:1"])
def test_another_name_for_this_machine_is_refused(server: Server, host: str) -> None:
    assert server.get("/queue", headers={"Host": host}).status in (400, 403) or host.startswith("user@")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8188", "[::1]:8188", "127.9.9.9", "LOCALHOST:99"])
def test_this_machines_own_names_are_answered(server: Server, host: str) -> None:
    assert server.get("/queue", headers={"Host": host}).status == 200


def test_pages_of_other_sites_cannot_post(server: Server) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:1"},
    ):
        reply = server.post("/prompt", json={"prompt": chain()}, headers=headers)
        assert (reply.status, reply.body) == (403, b"")
    assert server.post("/prompt", json={"prompt": chain()}, headers={"Origin": server.url}).status == 200
    assert server.get("/queue", headers={"Origin": "http://evil.example"}).status == 403


def test_cors_when_it_is_wanted(make_server: Callable[..., Server]) -> None:
    server = make_server(cors_origin="https://studio.example")
    reply = server.request("OPTIONS", "/prompt", headers={"Origin": "https://studio.example"})
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "https://studio.example"
    assert "PATCH" in reply.headers["Access-Control-Allow-Methods"]
    assert server.get("/queue", headers={"Origin": "https://studio.example"}).headers["Access-Control-Allow-Origin"]


def test_profiles_without_login(make_server: Callable[..., Server]) -> None:
    server = make_server(multi_user=True)
    assert server.get("/users").json == {"storage": "server", "users": {"default": "default"}}
    profile = server.post("/users", json={"username": "Ann"}).json
    assert server.post("/users", json={"username": "Ann"}).json == {"error": "Duplicate username."}
    assert server.get("/users").json["users"][profile] == "Ann"
    server.post("/settings", json={"a": 1}, headers={"comfy-user": profile})
    assert server.get("/settings", headers={"comfy-user": profile}).json == {"a": 1}
    assert server.get("/settings").json == {}
    assert server.get("/settings", headers={"comfy-user": "unknown"}).status == 401
    assert server.get("/settings", headers={"comfy-user": str(uuid.uuid4())}).status == 401
    server.request("POST", "/userdata/a.txt", data=b"ann's", headers={"comfy-user": profile})
    assert server.get("/userdata/a.txt").status == 404
    socket = server.socket("tab")
    body = {"prompt": {"1": {"class_type": "Picture", "inputs": {}}}, "client_id": "tab"}
    prompt_id = server.post("/prompt", json=body, headers={"comfy-user": profile}).json["prompt_id"]
    assert any(message["type"] == "executed" for message in socket.until_end(prompt_id))
    assert server.get("/view?filename=loom_00001_.png").status == 200
    assert list(server.get("/history", headers={"comfy-user": profile}).json) == [prompt_id]


def test_names_that_others_could_point_here(make_server: Callable[..., Server]) -> None:
    """A server without login that others reach answers to addresses and to names that were allowed."""
    server = make_server(hosts=("0.0.0.0",), login=False, allowed_hosts=("studio.example",))
    for host, status in (("192.168.1.5:8188", 200), ("studio.example", 200), ("evil.example", 403), ("127.0.0.1", 200)):
        assert server.get("/queue", headers={"Host": host}).status == status


@pytest.mark.parametrize(
    ("hosts", "login", "said"),
    [
        (("127.0.0.1",), None, "only this machine"), (("::1",), True, "needed"), (("0.0.0.0", "::"), None, "needed"),
        (("0.0.0.0",), False, "WHOEVER REACHES"), (("127.0.0.1", "192.168.1.5"), False, "WHOEVER REACHES"),
    ],
)  # fmt: skip
def test_who_may_is_said_at_the_start(hosts: tuple[str, ...], login: bool | None, said: str) -> None:
    assert said in who_may(Options(hosts=hosts, login=login))


def test_listening_beyond_this_machine_demands_users(tmp_path: Path) -> None:
    process = Process(tmp_path, "--listen", "0.0.0.0")

    def start_and_fail() -> None:
        process.start()
        process.wait_for_end()

    with pytest.raises(RuntimeError, match="users add NAME"):
        start_and_fail()
    words = [sys.executable, "main.py", "users", "add", "Ann", "--no-password", "--base-directory", str(tmp_path)]
    told = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "Added Ann (admin)." in told
    token = told.rpartition(": ")[2].strip()
    process.start()
    try:
        with pytest.raises(HTTPError, match="401"):
            process.get("/queue")
        assert process.get("/queue", Authorization=f"Bearer {token}") == {"queue_running": [], "queue_pending": []}
    finally:
        process.end()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_https(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    process = Process(tmp_path / "base", "--tls-keyfile", str(key), "--tls-certfile", str(certificate))
    process.url = process.url.replace("http:", "https:")
    process.context = ssl.create_default_context(cafile=str(certificate))
    process.start()
    assert process.get("/system_stats")["system"]
    process.end()
