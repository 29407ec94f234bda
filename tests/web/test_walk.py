"""What a new user does, from the first page to the picture: no test hooks but to see, real input to act."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from .conftest import ROOT, serve
from .editor import Editor

DOC = "window.__test.app.active.value"
RUN_SECONDS = 120


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A server on which nobody has run anything but `make hello`."""
    home: Path = tmp_path_factory.mktemp("walk")
    made = [sys.executable, "main.py", "run", "workflows/hello.json", "--output-directory", str(home / "output"), "--cpu"]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True)
    with serve(home) as url:
        yield url


@pytest.fixture
def newcomer(browser, fresh):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    editor = Editor(context.new_page(), fresh).load()
    yield editor
    assert not editor.problems, editor.problems
    context.close()


def named(editor, title):
    return next(int(id) for id, node in editor.graph()["nodes"].items() if node["title"] == title)


def ended(editor):
    editor.until(f"() => !{DOC}.run.prompt.value && !{DOC}.run.pending.value", seconds=RUN_SECONDS)


def test_the_first_page_shows_hello_with_the_last_picture_on_its_save_node(newcomer):
    assert {"Prompt", "KSampler", "Save Image"} <= {node["title"] for node in newcomer.graph()["nodes"].values()}
    save = named(newcomer, "Save Image")
    newcomer.until(f"() => {DOC}.run.output('{save}')?.images?.length === 1")
    newcomer.until("() => window.__test.counters.bitmaps.count > 0")
    boxes = newcomer.graph()["nodes"].values()
    for node in boxes:
        x, y = newcomer.page_at(*node["box"][:2])
        x2, y2 = newcomer.page_at(*node["box"][2:])
        assert x >= 0 and y >= 0 and x2 <= 1440 and y2 <= 900, "all of it is in view"  # noqa: PT018
    assert newcomer.page.get_by_role("button", name="Run", exact=True).is_visible()


def test_ctrl_enter_runs_the_preview_sharpens_and_the_picture_lands(newcomer):
    sampler, save = named(newcomer, "KSampler"), named(newcomer, "Save Image")
    newcomer.click(newcomer.widget(named(newcomer, "Prompt"), "text"))
    area = newcomer.page.locator("textarea.widget-input")
    area.fill("a rocket at night")
    newcomer.page.evaluate(
        f"""() => {{
            window.seen = {{ steps: new Set(), previews: 0, ring: 0 }};
            {DOC}.on('media', ({{ id }}) => id == {sampler} && (window.seen.previews += {DOC}.run.preview('{sampler}') ? 1 : 0));
            {DOC}.on('run', () => window.seen.steps.add({DOC}.run.nodes.get('{sampler}')?.value));
        }}"""
    )
    before = newcomer.draws().get("over:run", 0)
    area.press("Control+Enter")
    newcomer.until(f"() => {DOC}.run.outputs.get('{save}')?.images[0].filename.includes('00002')", seconds=RUN_SECONDS)
    ended(newcomer)
    seen = newcomer.page.evaluate(
        "() => ({ steps: [...window.seen.steps].filter((n) => n > 0).length, previews: window.seen.previews })"
    )
    assert seen["previews"] >= 2, "the picture sharpened"
    assert seen["steps"] >= 3, "the ring filled"
    assert newcomer.draws()["over:run"] > before
    newcomer.focus()
    newcomer.key("a")
    newcomer.page.locator(".panel .cell img").first.wait_for()
    newcomer.page.locator(".panel .cell").first.click()
    assert newcomer.page.locator(".light-head > span").inner_text() == "hello_00002_.png"
    newcomer.key("i")
    assert "a rocket at night" in newcomer.page.locator(".light-info").inner_text()


def test_a_wire_into_the_void_and_two_letters_give_the_right_node_wired(newcomer):
    decode = named(newcomer, "VAE Decode")
    x, y = newcomer.output(decode)
    newcomer.drag((x, y), (x + 40, y + 330))
    newcomer.page.get_by_role("combobox").wait_for()
    newcomer.page.keyboard.type("pr")
    newcomer.until("() => document.querySelector('.hit[aria-selected=true]')?.textContent.includes('Preview Image')")
    newcomer.page.keyboard.press("Enter")
    newcomer.until(f"() => [...{DOC}.graph.nodes.values()].some((node) => node.type === 'PreviewImage')")
    preview = next(int(id) for id, node in newcomer.graph()["nodes"].items() if node["type"] == "PreviewImage")
    assert (decode, 0, preview, 0) in newcomer.links()


def test_a_picture_of_comfyui_opens_its_workflow(newcomer, tmp_path):
    """ComfyUI writes the workflow and the prompt as two text chunks."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told = json.load(urllib.request.urlopen(f"{newcomer.base}/api/workflows/inpaint"))
    info = PngInfo()
    info.add_text("prompt", json.dumps(told["prompt"]))
    info.add_text("workflow", json.dumps(told["workflow"]))
    path = tmp_path / "ComfyUI_00042_.png"
    Image.new("RGB", (64, 64), "teal").save(path, pnginfo=info)
    newcomer.focus()
    with newcomer.page.expect_file_chooser() as chooser:
        newcomer.page.keyboard.press("Control+o")
    chooser.value.set_files(path)
    newcomer.until(f"() => {DOC}.name.value === 'ComfyUI_00042_'")
    assert len(newcomer.graph()["nodes"]) == len(told["workflow"]["nodes"])


def test_what_went_on_while_the_browser_was_closed_is_there_when_it_opens(newcomer):
    sampler, save = named(newcomer, "KSampler"), named(newcomer, "Save Image")
    keys = newcomer.page.evaluate(f"() => {DOC}.graph.node({sampler}).widgets.map((widget) => widget.name)")
    change = f"(e) => e.change({{ op: 'value', id: {sampler}, key: {keys.index('steps')}, name: 'steps', value: 60 }})"
    newcomer.page.evaluate(f"() => {DOC}.edit('x', {change})")
    newcomer.drag(newcomer.title(save), (newcomer.title(save)[0] - 60, newcomer.title(save)[1] + 200))
    newcomer.camera(-200, 40, 0.9)
    newcomer.focus()
    newcomer.key("Control+Enter")
    newcomer.until(f"() => {DOC}.run.nodes.get('{sampler}')?.value >= 2", seconds=RUN_SECONDS)
    graph, camera, tab = newcomer.graph()["nodes"], newcomer.view(), newcomer.page.evaluate(f"() => {DOC}.id")
    context = newcomer.page.context
    newcomer.page.close()

    again = Editor(context.new_page(), newcomer.base).load()
    assert again.page.evaluate(f"() => {DOC}.id") == tab
    assert {id: node["pos"] for id, node in again.graph()["nodes"].items()} == {id: node["pos"] for id, node in graph.items()}
    assert again.view() == pytest.approx(camera)
    assert again.value(sampler, "steps") == 60
    again.until(f"() => {DOC}.run.prompt.value || {DOC}.run.output('{save}')", seconds=RUN_SECONDS)
    ended(again)
    again.until(f"() => {DOC}.run.output('{save}')?.images.length === 1", seconds=30)
    assert not again.problems
