"""The libraries beside the canvas: node types, models, workflows."""

import json
import urllib.request
import uuid
from pathlib import Path

import pytest

from .conftest import ROOT
from .scenes import HELLO
from .test_panels import DOC, QUICK, panel

TEMPLATES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


@pytest.fixture
def blank(editor):
    editor.open({"nodes": [], "links": [], "version": 0.4})
    yield editor
    panel(editor, "")


def types(editor):
    return [node["type"] for node in editor.graph()["nodes"].values()]


# Node types


def test_a_node_type_is_read_about_and_added(blank):
    body = panel(blank, "nodes")
    body.get_by_label("Search nodes").fill("ksampler")
    row = body.locator(".node-row").first
    row.locator(".node-row-name").click()
    card = body.locator(".node-card")
    assert "KSampler" in card.inner_text()
    assert "latent_image" in card.inner_text()
    body.locator(".panel-card").get_by_role("button", name="Add").click()
    assert types(blank) == ["KSampler"]


def test_a_node_type_is_dragged_onto_the_canvas(blank):
    body = panel(blank, "nodes")
    body.get_by_label("Search nodes").fill("vae decode")
    body.locator(".node-row").first.drag_to(blank.page.locator("#canvas"), target_position={"x": 500, "y": 300})
    blank.until(f"() => {DOC}.graph.nodes.size === 1")
    x, y = blank.page_at(*blank.graph()["nodes"]["1"]["pos"])
    box = blank.page.locator("#canvas").bounding_box()
    assert abs(y - box["y"] - 300) < 60
    assert 300 < x - box["x"] < 520


def test_what_is_added_without_a_place_lies_on_nothing_else(editor):
    editor.open(HELLO, scale=0.6)
    body = panel(editor, "nodes")
    body.get_by_label("Search nodes").fill("vae decode")
    row = body.locator(".node-row").first
    row.hover()
    for _ in range(3):
        row.get_by_label("Add", exact=True).click()
    boxes = [node["box"] for node in editor.graph()["nodes"].values()]
    assert len(boxes) == len(HELLO["nodes"]) + 3
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    panel(editor, "")


def test_starred_types_come_first(blank):
    body = panel(blank, "nodes")
    body.get_by_label("Search nodes").fill("save image")
    row = body.locator(".node-row").first
    row.hover()
    row.get_by_label("Star").click()
    body.get_by_label("Search nodes").fill("")
    assert "Starred" in body.locator(".branch-head").first.inner_text()
    assert "Save Image" in body.locator(".node-row").first.inner_text()
    body.locator(".node-row").first.get_by_label("Star").click()


def test_categories_open_and_close(blank):
    body = panel(blank, "nodes")
    head = body.locator(".branch-head", has_text="sampling").first
    head.click()
    assert head.get_attribute("aria-expanded") == "true"
    assert body.locator(".node-row", has_text="KSampler").first.is_visible()
    head.click()
    assert body.locator(".node-row").count() == 0


# Models


def test_a_model_says_what_it_is_where_it_is_used_and_its_hash(editor):
    editor.open(HELLO)
    body = panel(editor, "models")
    row = body.locator(".model-row", has_text="loom-demo").first
    row.locator(".model-main").click()
    card = row.locator(".model-card")
    card.get_by_text("Stable Diffusion 1 checkpoint").wait_for()
    assert "denoiser" in card.inner_text()
    card.get_by_text("Work out the hash").click()
    short = card.locator(".hash")
    short.wait_for()
    told = json.load(urllib.request.urlopen(f"{editor.base}/api/model_facts/checkpoints?filename=loom-demo.safetensors"))
    assert short.inner_text() == told["hashes"]["AutoV2"] == told["hashes"]["sha256"][:10].upper()
    editor.page.evaluate(f"() => {DOC}.select({{}})")
    card.locator(".model-uses .link").first.click()
    assert editor.selected() == {1}
    panel(editor, "")


def test_a_model_is_put_on_a_node_that_loads_it(blank):
    body = panel(blank, "models")
    body.get_by_role("button", name="checkpoints", exact=True).click()
    body.locator(".model-row", has_text="loom-demo").first.get_by_label("Use in the workflow").click()
    assert types(blank) == ["CheckpointLoaderSimple"]
    assert blank.value(1, "ckpt_name") == "loom-demo.safetensors"


# Workflows


def test_every_shipped_workflow_is_a_template_with_a_picture_that_opens(blank):
    body = panel(blank, "workflows")
    body.locator(".template").first.wait_for()
    shown = body.locator(".template b").all_inner_texts()
    for name in TEMPLATES:
        title = name.replace("-", " ").capitalize()
        assert title in shown, name
        template = body.locator(".template", has=blank.page.get_by_text(title, exact=True))
        if (ROOT / "workflows" / f"{name}.webp").exists():
            template.scroll_into_view_if_needed()
            blank.until("(one) => one.querySelector('img')?.naturalWidth > 0", template.element_handle())
    for title in ("Inpaint", "Hires fix"):
        body.locator(".template", has=blank.page.get_by_text(title, exact=True)).click()
        blank.until(f"() => {DOC}.name.value === '{title}'")
        assert blank.page.evaluate(f"() => [...{DOC}.graph.nodes.values()].every((node) => node.def)")


def test_a_saved_workflow_is_found_renamed_compared_and_deleted(editor):
    editor.open(QUICK)
    name = f"library {uuid.uuid4().hex[:6]}"
    editor.focus()
    editor.key("Control+s")
    field = editor.page.get_by_role("textbox", name="Save as")
    field.fill(f"folder/{name}")
    field.press("Enter")
    editor.until(f"() => {DOC}.file.value === 'folder/{name}.json' && !{DOC}.dirty.value")
    body = panel(editor, "workflows")
    body.get_by_label("Search workflows").fill(name)
    row = body.locator(".file-row")
    row.get_by_label("More").click()
    editor.page.get_by_role("menuitem", name="Rename").click()
    field = editor.page.get_by_role("textbox", name="Rename")
    field.fill(f"{name} again")
    field.press("Enter")
    row.get_by_text(f"{name} again").wait_for()
    row.get_by_label("More").click()
    editor.page.get_by_role("menuitem", name="Delete").click()
    editor.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    body.locator(".file-row").wait_for(state="detached")
    panel(editor, "")


def test_each_shipped_workflow_has_the_picture_that_the_library_shows():
    missing = [name for name in TEMPLATES if not (Path(ROOT) / "workflows" / f"{name}.webp").exists()]
    assert not missing, f"python tools/pictures.py draws them: {missing}"
