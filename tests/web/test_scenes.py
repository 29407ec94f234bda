"""Six fixed scenes beside the pictures of them that somebody looked at and kept; ``WEB_SHOTS=write`` keeps new ones.

They are compared small, so that another machine's way of smoothing letters is no difference, but a colour that
is off, a shape that is missing or a text that has moved is.
"""

import copy
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from .editor import Editor
from .scenes import HELLO, many

SHOTS = Path(__file__).parent / "shots"
WRITE = os.environ.get("WEB_SHOTS") == "write"
SMALL = (480, 270)
MEAN, CLEAR, LEAST = 2.0, 0.01, 40  # grey levels, share of pixels that clearly differ, and by how much


def groups() -> dict[str, Any]:
    """Groups, a bypassed and a muted node, a coloured, a collapsed and a pinned one, and a note."""
    graph = copy.deepcopy(HELLO)
    graph["groups"] = [
        {"id": 1, "title": "Prompts", "bounding": [345, -115, 390, 430], "color": "#8a8", "font_size": 24, "flags": {}},
        {"id": 2, "title": "Sampling", "bounding": [775, -115, 680, 500], "color": "#3f789e", "font_size": 24, "flags": {}},
    ]
    loader, prompt, negative, latent, _, decode, _ = graph["nodes"]
    prompt["mode"], negative["mode"] = 4, 2
    latent |= {"color": "#432", "bgcolor": "#653"}
    loader["flags"], decode["flags"] = {"pinned": True}, {"collapsed": True}
    note = {
        "id": 8,
        "type": "MarkdownNote",
        "pos": [0, 470],
        "size": [320, 140],
        "properties": {},
        "widgets_values": ["## How to\nWrite a **prompt**, press *Run*.\n- one\n- two"],
    }
    graph["nodes"].append(note)
    graph["last_node_id"] = 8
    return graph


def hello(editor: Editor) -> None:
    editor.open(HELLO, scale=0.95, offset=(140, 190))


def far(editor: Editor) -> None:
    editor.open(many(300), scale=0.12, offset=(200, 300))


def grouped(editor: Editor) -> None:
    editor.open(groups(), scale=0.95, offset=(140, 190))


def subgraph(editor: Editor) -> None:
    editor.open(HELLO)
    editor.click(editor.title(5))
    editor.click(editor.title(6), keys="Control")
    editor.key("Control+Shift+E")
    node = next(int(key) for key, one in editor.graph()["nodes"].items() if len(one["type"]) == 36)
    editor.double(editor.title(node))


def phone(editor: Editor) -> None:
    editor.open(HELLO)
    editor.focus()
    editor.key("Home")


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SCENES = {
    "light": (hello, {"color_scheme": "light"}),
    "dark": (hello, {"color_scheme": "dark"}),
    "far": (far, {"color_scheme": "dark"}),
    "groups": (grouped, {"color_scheme": "light"}),
    "subgraph": (subgraph, {"color_scheme": "dark"}),
    "phone": (phone, {"color_scheme": "dark", **PHONE}),
}


@pytest.mark.parametrize("name", [*SCENES])
def test_a_scene_looks_as_it_did(browser, base, name):
    draw, options = SCENES[name]
    context = browser.new_context(**{"viewport": {"width": 1600, "height": 900}, "reduced_motion": "reduce", **options})
    editor = Editor(context.new_page(), base).load()
    editor.reset()
    draw(editor)
    editor.page.mouse.move(3, 3)
    editor.settle()
    data = editor.page.locator("#canvas").screenshot()
    context.close()
    shot = Image.open(io.BytesIO(data)).convert("RGB")
    shot.thumbnail(SMALL)
    path = SHOTS / f"{name}.png"
    if WRITE:
        SHOTS.mkdir(exist_ok=True)
        shot.save(path, optimize=True)
    kept = Image.open(path)
    assert kept.size == shot.size
    difference = ImageChops.difference(kept, shot).convert("L")
    clear = sum(difference.histogram()[LEAST:]) / (shot.width * shot.height)
    assert ImageStat.Stat(difference).mean[0] < MEAN
    assert clear < CLEAR
