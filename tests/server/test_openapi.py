"""The description of the API is whole, true, and gives an attacker's client nothing to break."""

import re
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from engine.flags import IGNORED, Parser, add_settings
from engine.server.openapi import describe_api, plain
from engine.server.routes import ROUTES
from tests.server.conftest import Server, chain
from tests.server.process import PROJECT
from tools import routes_page


def test_every_route_is_in_it(server: Server) -> None:
    api = server.get("/openapi.json").json
    assert api["openapi"].startswith("3.1")
    known = set()
    for path, methods in api["paths"].items():
        for method, entry in methods.items():
            known |= {(method.upper(), path), *((method.upper(), other) for other in entry.get("x-also", []))}
    for route in server.runner.app.router.routes():
        resource = route.resource
        assert isinstance(resource, web.Resource)
        if route.method not in ("*", "HEAD") or "hash" in resource.canonical:
            path = plain(resource.canonical)
            assert (route.method, path) in known, (route.method, path)


def test_every_operation_is_told_in_words() -> None:
    api = describe_api(ROUTES, {})
    ids = []
    for path, methods in api["paths"].items():
        for method, entry in methods.items():
            assert entry["summary"].endswith("."), (method, path)
            ids.append(entry["operationId"])
    assert len(ids) == len(set(ids))
    text = str(api)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in api["components"]["schemas"], name


def test_the_document_is_valid() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="the validator is not installed")
    validator.validate(describe_api(ROUTES, {"x": {"type": "object", "properties": {}}}))


def test_the_page_of_routes_is_what_the_code_says() -> None:
    """``python tools/routes_page.py`` writes it anew."""
    assert routes_page.PAGE.read_text(encoding="utf-8") == "\n".join([*routes_page.page(ROUTES), ""])


def test_the_page_of_the_server_names_flags_that_are() -> None:
    text = (PROJECT / "docs" / "server.md").read_text(encoding="utf-8")
    parser = Parser(prog="main.py")
    add_settings(parser)
    flags = (
        {name for action in parser._actions for name in action.option_strings} | IGNORED | {"--json", "--role", "--no-password"}
    )
    assert set(re.findall(r"--[a-z][\w-]+", text)) - flags == set()
    known = {path for route in ROUTES for path in map(plain, route.paths())}
    asked = {found.partition("?")[0] for found in re.findall(r"`(?:GET|POST|PATCH|DELETE) (/[^`\s]+)", text)}
    assert {re.sub("/hello/", "/{name}/", path) for path in asked} - known == set()


def test_answers_fit_their_models(server: Server) -> None:
    job_id = server.queue(chain())
    server.wait(job_id)
    fills = {"prompt_id": job_id, "id": job_id, "node_class": "Add", "folder": "checkpoints", "kind": "output", "name": "hello"}
    checked = 0
    for route in ROUTES:
        if route.method != "GET" or not (isinstance(route.answer, type) and issubclass(route.answer, BaseModel)):
            continue
        path = re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda found: fills.get(found[1], "x"), route.paths()[-1])
        reply = server.get(path)
        if reply.status == 200:
            route.answer.model_validate(reply.json)
            checked += 1
    assert checked >= 18


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    page = server.get("/docs")
    assert page.status == 200
    assert "http" not in re.sub(r"http-equiv", "", page.text)
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert server.get(path).status == 200, path
    assert "<script>" not in page.text


def test_schemathesis_finds_no_server_error(server: Server) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings

    server.get("/object_info")
    schema = schemathesis.openapi.from_dict(describe_api(ROUTES, {}))
    calm = settings(
        max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None
    )
    failures: list[Any] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ("/ws", "/api/ws", "/api/jobs/{id}/events"):
            continue

        @calm
        @given(case=operation.as_strategy())
        def attack(case: Any) -> None:
            status = call(server, case)
            if status >= 500:
                failures.append((case.method, case.formatted_path, case.query, case.body, status))

        attack()
    assert failures == []
    assert server.get("/system_stats").status == 200


def call(server: Server, case: Any) -> int:
    """Send a generated request as it is, without a client's good manners."""
    from requests import Request

    sent = Request(**case.as_transport_kwargs(base_url=server.url)).prepare()
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body
    headers = {
        str(name): str(value) for name, value in sent.headers.items() if name.lower() not in ("content-length", "host", "cookie")
    }

    async def work() -> int:
        try:
            async with server.session.request(sent.method or "GET", sent.url or "", data=body, headers=headers) as reply:
                await reply.read()
                return reply.status
        except (TimeoutError, ValueError, OSError):
            return 0

    status: int = server.call(work())
    return status
