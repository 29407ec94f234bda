"""Saying no: one exception for every answer that is not a success, in the shapes ComfyUI's clients read."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from engine.jobs.job import dump


class Refusal(Exception):
    """An answer of this status; ``body`` is JSON, plain text, or nothing."""

    def __init__(self, status: int, body: Mapping[str, Any] | str | None = None, **headers: str) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> web.Response:
        if self.body is None:
            return web.Response(status=self.status, headers=self.headers)
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers, dumps=dump)


def refuse(status: int, message: str) -> Refusal:
    """The newer routes' form: ``{"error": "..."}``."""
    return Refusal(status, {"error": message})


def refuse_prompt(
    kind: str, message: str, details: str = "", *, extra: Mapping[str, Any] | None = None, nodes: Mapping[str, Any] | None = None,
    status: int = 400,
) -> Refusal:  # fmt: skip
    """The form of ``POST /prompt``."""
    error = {"type": kind, "message": message, "details": details, "extra_info": dict(extra or {})}
    return Refusal(status, {"error": error, "node_errors": dict(nodes or {})})


def refuse_asset(status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> Refusal:
    """The form of the asset routes."""
    return Refusal(status, {"error": {"code": code, "message": message, "details": dict(details or {})}})
