"""``/templates``: the shipped workflows where ComfyUI's frontend looks for its own."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.folders import PROJECT
from engine.server.bodies import json_answer
from engine.server.packs import read_object
from engine.server.static import serve_below

SHIPPED = PROJECT / "workflows"
PICTURE = "-1.webp"
"""ComfyUI's frontend shows ``NAME-1.webp`` for the template NAME."""


async def template(request: web.Request) -> web.StreamResponse:
    """The list of the shipped workflows, one of them, or its picture."""
    name = request.match_info["path"]
    if name == "index.json":
        return json_answer(await asyncio.to_thread(index))
    return serve_below(SHIPPED, name.removesuffix(PICTURE) + ".webp" if name.endswith(PICTURE) else name)


def index() -> list[dict[str, Any]]:
    """Those that have a picture, which is what the dialog shows."""
    found = [entry(path) for path in sorted(SHIPPED.glob("*.json")) if path.with_suffix(".webp").is_file()]
    return [{"moduleName": "default", "title": "Latent Loom", "type": "image", "templates": found}]


def entry(path: Path) -> dict[str, str]:
    title = path.stem.replace("-", " ").capitalize()
    return {"name": path.stem, "title": title, "mediaType": "image", "mediaSubtype": "webp", "description": about(path) or title}


def about(path: Path) -> str:
    """The first paragraph of the workflow's note, without its marks."""
    notes = (node for node in read_object(path).get("nodes", []) if node.get("type") == "MarkdownNote")
    text = next((str(node["widgets_values"][0]) for node in notes if node.get("widgets_values")), "")
    return text.partition("\n\n")[0].replace("*", "").replace("`", "")
