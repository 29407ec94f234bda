"""Around the canvas: running, the queue, the gallery, files, palettes, settings. Real keys, the real server."""

import contextlib
import re
import time
import uuid
from pathlib import Path

import pytest

from .editor import Editor
from .scenes import HELLO

ROOT = Path(__file__).resolve().parents[2]

QUICK = {
    "last_node_id": 2,
    "last_link_id": 1,
    "nodes": [
        {
            "id": 1, "type": "EmptyImage", "pos": [40, 60], "size": [240, 150], "flags": {}, "order": 0, "mode": 0, "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "properties": {}, "widgets_values": [32, 32, 1, 0],
        },
        {
            "id": 2, "type": "SaveImage", "pos": [340, 60], "size": [240, 260], "flags": {}, "order": 1, "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}], "outputs": [], "properties": {},
            "widgets_values": ["quick"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "groups": [], "config": {}, "extra": {}, "version": 0.4,
}  # fmt: skip

DOC = "window.__test.app.active.value"
KEPT = """(id) => new Promise((done) => {
    const ask = indexedDB.open('latent-loom');
    ask.onsuccess = () => {
        const get = ask.result.transaction('drafts').objectStore('drafts').get(`doc:${id}`);
        get.onsuccess = () => (ask.result.close(), done(get.result));
    };
})"""
"""The draft of a document as the browser keeps it."""


def run(editor):
    """Press Ctrl+Enter and wait until nothing runs and nothing waits."""
    before = editor.page.evaluate("() => window.__test.app.jobs.past.value.length")
    editor.key("Control+Enter")
    editor.until(f"() => window.__test.app.jobs.past.value.length > {before} && !{DOC}.run.pending.value", seconds=40)


def panel(editor, name):
    editor.page.evaluate(f"() => window.__test.app.prefs.set('panel.open', '{name}')")
    return editor.page.locator(".panel")


@pytest.fixture
def quick(editor):
    """One blank picture, saved: a run of milliseconds."""
    editor.open(QUICK)
    yield editor
    editor.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")


def test_a_run_shows_its_result_on_the_node_in_the_queue_and_in_the_gallery(quick):
    blank, save = QUICK["nodes"]
    new = {**blank, "widgets_values": [32, 48, 1, time.time_ns() % 2**24]}  # what was drawn before is not newest in the gallery
    quick.open({**QUICK, "nodes": [new, save]})
    run(quick)
    assert quick.page.evaluate(f"() => {DOC}.run.output('2').images.length") == 1
    assert quick.page.evaluate(f"() => {DOC}.run.stateOf({DOC}, 2).state") in ("done", "cached")
    panel(quick, "queue").locator(".job.done img").first.wait_for()
    panel(quick, "gallery").locator(".cell img").first.wait_for()
    quick.page.locator(".cell").first.click()
    quick.page.get_by_role("dialog").locator("img").wait_for()
    quick.key("i")
    assert "EmptyImage" in quick.page.locator(".light-info").inner_text()
    quick.key("Escape")


def test_an_error_is_said_in_words_and_leads_to_its_node(quick):
    quick.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 0, name: 'width', value: -5 }}))")
    quick.key("Control+Enter")
    card = panel(quick, "errors").locator(".error-card")
    card.first.wait_for()
    assert "width" in card.first.inner_text()
    card.first.locator(".link").click()
    assert quick.selected() == {1}
    assert quick.page.evaluate(f"() => {DOC}.run.stateOf({DOC}, 1).state") == "error"


ORDER = "() => window.__test.app.jobs.queue.value.map((job) => job.prompt['1'].inputs.color).join()"


@contextlib.contextmanager
def three_waiting(editor):
    """The queue panel while three jobs wait, of the colours 1, 2, 3; afterwards what is left of them runs."""
    body = panel(editor, "queue")
    body.get_by_label("Pause the queue").click()
    body.locator(".notice").wait_for()
    try:
        for color in (1, 2, 3):
            change = f"(e) => e.change({{ op: 'value', id: 1, key: 3, name: 'color', value: {color} }})"
            editor.page.evaluate(f"() => {DOC}.edit('x', {change})")
            editor.focus()
            editor.key("Control+Enter")
            editor.until(f"() => window.__test.app.jobs.queue.value.length === {color}")
        assert editor.page.evaluate(ORDER) == "1,2,3"
        yield body
    finally:
        body.get_by_label("Go on with the queue").click()
    editor.until("() => window.__test.app.jobs.queue.value.length === 0", seconds=40)


def test_the_queue_pauses_moves_and_lets_go_of_jobs(quick):
    with three_waiting(quick) as body:
        body.locator(".job").nth(2).get_by_label("Run next").click()
        quick.until(f"() => ({ORDER})() === '3,1,2'")
        body.locator(".job").nth(1).get_by_label("Take out of the queue").click()
        quick.until(f"() => ({ORDER})() === '3,2'")


def test_a_workflow_saved_twice_keeps_a_version_and_shows_what_changed(quick):
    quick.key("Control+s")
    field = quick.page.get_by_role("textbox", name="Save as")
    name = f"a test of saving {uuid.uuid4().hex[:6]}"
    field.fill(name)
    field.press("Enter")
    quick.until(f"() => {DOC}.file.value === '{name}.json' && !{DOC}.dirty.value")
    quick.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 0, name: 'width', value: 64 }}))")
    assert quick.page.evaluate(f"() => {DOC}.dirty.value")
    quick.focus()
    quick.key("Control+s")
    quick.until(f"() => !{DOC}.dirty.value")
    versions = quick.page.evaluate(f"() => window.__test.app.files.versions('{name}.json')")
    assert len(versions) >= 1
    quick.page.evaluate("() => void window.__test.app.ui.dialog('diff', {})")
    quick.page.locator(".diff-pick select").select_option(index=1)
    quick.page.locator(".difference.changed").wait_for()
    assert re.search(r"width\s+32\s+64", quick.page.locator(".difference").inner_text())
    quick.key("Escape")


def test_what_was_open_is_open_after_a_reload(quick):
    quick.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 0, name: 'width', value: 72 }}))")
    name = quick.page.evaluate(f"() => {DOC}.name.value")
    quick.until(f"async () => (await ({KEPT})({DOC}.id))?.data.nodes[0].widgets_values[0] === 72")
    quick.load()
    assert quick.page.evaluate(f"() => {DOC}.name.value") == name
    assert quick.value(1, "width") == 72


def test_a_picture_made_here_opens_its_workflow_when_dropped(quick):
    run(quick)
    tabs = quick.page.evaluate("() => window.__test.app.docs.value.length")
    quick.page.evaluate(
        f"""async () => {{
            const [file] = {DOC}.run.output('2').images;
            const blob = await (await fetch(window.__test.app.api.viewUrl(file))).blob();
            const data = new DataTransfer();
            data.items.add(new File([blob], file.filename, {{ type: 'image/png' }}));
            const where = {{ bubbles: true, cancelable: true, clientX: 700, clientY: 400, dataTransfer: data }};
            document.getElementById('canvas').dispatchEvent(new DragEvent('drop', where));
        }}"""
    )
    quick.until(f"() => window.__test.app.docs.value.length > {tabs}")
    assert {node["type"] for node in quick.graph()["nodes"].values()} == {"EmptyImage", "SaveImage"}


def test_each_event_goes_to_the_document_that_asked_for_it(quick):
    mine = quick.page.evaluate(f"() => {DOC}.id")
    quick.page.evaluate("(json) => window.__test.app.open({ ...json, id: crypto.randomUUID() }, { name: 'the other' })", HELLO)
    other = quick.page.evaluate(f"() => {DOC}.id")
    quick.page.evaluate("(id) => window.__test.app.activate(window.__test.app.docs.value.find((doc) => doc.id === id))", mine)
    quick.focus()
    run(quick)
    assert quick.page.evaluate("(id) => window.__test.app.docs.value.find((doc) => doc.id === id).run.outputs.size", other) == 0


def test_the_search_palette_filters_by_type_and_adds_with_enter(editor):
    editor.open({"nodes": [], "links": [], "version": 0.4})
    editor.page.evaluate("() => window.__test.app.ui.palette({ at: [50, 50] })")
    field = editor.page.get_by_role("combobox")
    field.fill("i:latent o:image")
    names = editor.page.locator(".hit-name").all_inner_texts()
    assert any("VAE Decode" in name for name in names)
    field.fill("empty latent")
    field.press("Shift+Enter")
    field.press("Enter")
    assert [node["type"] for node in editor.graph()["nodes"].values()] == ["EmptyLatentImage"] * 2


def test_every_command_is_in_the_list_and_its_key_can_be_changed(hello):
    hello.key("Control+k")
    hello.page.get_by_role("combobox").fill("tidy")
    assert "L" in hello.page.locator(".hit.command").first.inner_text()
    hello.key("Escape")
    hello.key("Control+Shift+k")
    hello.page.get_by_label("Search commands").fill("mute")
    hello.page.locator(".key").first.click()
    hello.page.keyboard.press("Alt+Shift+Q")
    hello.key("Escape")
    hello.focus()
    hello.page.evaluate(f"() => {DOC}.select({{ nodes: [2] }})")
    hello.key("Alt+Shift+Q")
    assert hello.graph()["nodes"]["2"]["mode"] == 2
    hello.page.evaluate("() => window.__test.app.commands.rebind('mute', null)")


def test_a_sweep_runs_each_value_against_each_and_shows_them_side_by_side_whenever_one_asks(quick):
    quick.key("Alt+s")
    axes = quick.page.locator(".sweep-axis")
    axes.nth(0).locator("select").select_option(label="EmptyImage › color")
    axes.nth(0).locator("textarea").fill("0, 255, 65280")
    axes.nth(1).locator("select").select_option(label="EmptyImage › width")
    axes.nth(1).locator("textarea").fill("16..32 step 16")
    assert quick.page.locator(".sweep-total").inner_text() == "Runs: 6"
    quick.page.get_by_text("Run them").click()
    grid = quick.page.locator(".sweep-grid")
    grid.locator("img").nth(5).wait_for(timeout=60_000)

    def edges():
        return grid.locator("thead th").all_inner_texts(), grid.locator("tbody th").all_inner_texts()

    assert edges() == (["0", "255", "65280"], ["16", "32"])
    assert grid.locator("img").nth(4).get_attribute("alt") == "255, 32"
    grid.locator("td button").nth(4).click()
    quick.page.locator(".light img").wait_for()
    quick.key("i")
    assert re.search(r"width\s+32", quick.page.locator(".light-info").inner_text())
    quick.key("Escape")
    quick.key("Escape")
    assert quick.value(1, "width") == 32, "the workflow itself is as it was"
    quick.load()
    job = panel(quick, "queue").locator(".job.done", has_text="255, 32").first
    job.hover()
    job.get_by_label("More").click()
    quick.page.get_by_role("menuitem", name="Show its sweep").click()
    grid.locator("img").nth(5).wait_for()
    assert edges() == (["0", "255", "65280"], ["16", "32"])
    quick.key("Escape")


def test_the_count_beside_run_runs_as_often(quick):
    before = quick.page.evaluate("() => window.__test.app.jobs.past.value.length")
    count = quick.page.get_by_label("How many runs")
    count.fill("3")
    count.press("Tab")
    quick.page.get_by_role("button", name="Run", exact=True).click()
    quick.until(f"() => window.__test.app.jobs.past.value.length >= {before} + 3 && !{DOC}.run.pending.value", seconds=40)
    count.fill("1")
    count.press("Tab")


def test_a_picture_becomes_an_input_and_a_mask_is_painted_on_it(quick):
    run(quick)
    panel(quick, "gallery").locator(".cell").first.click(button="right")
    quick.page.get_by_role("menuitem", name="Use as an input").click()
    quick.until(f"() => [...{DOC}.graph.nodes.values()].some((node) => node.type === 'LoadImage')")
    node = quick.page.evaluate(f"() => [...{DOC}.graph.nodes.values()].find((node) => node.type === 'LoadImage').id")
    panel(quick, "")
    quick.camera(*[80 - at for at in quick.graph()["nodes"][str(node)]["box"][:2]], 1)
    quick.click(quick.title(node), button="right")
    quick.page.get_by_role("menuitem", name="Paint a mask").click()
    quick.page.locator(".button.primary:not(:disabled)", has_text="Save the mask").wait_for()
    box = quick.page.locator(".mask-stack canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    quick.page.mouse.move(*middle)
    quick.page.mouse.down()
    quick.page.mouse.move(middle[0] + 40, middle[1], steps=4)
    quick.page.mouse.up()
    quick.page.get_by_text("Save the mask").click()
    quick.until(f"() => String({DOC}.graph.node({node}).values[0]).startsWith('clipspace/')")


def test_shipped_templates_are_listed_and_open(editor):
    body = panel(editor, "workflows")
    body.locator(".template", has_text="Image to image").click()
    editor.until("() => window.__test.app.active.value.name.value === 'Image to image'")
    assert editor.page.evaluate(f"() => [...{DOC}.graph.nodes.values()].every((node) => node.def)")
    panel(editor, "")


def test_the_list_of_modules_in_the_page_is_up_to_date():
    import subprocess
    import sys

    check = [sys.executable, "tools/preload.py", "--check"]
    answer = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_a_subgraph_kept_for_other_workflows_is_found_and_added(editor):
    editor.open(QUICK)
    editor.page.evaluate(f"() => {DOC}.select({{ nodes: [1, 2] }})")
    editor.focus()
    editor.key("Control+Shift+E")
    editor.page.evaluate("() => void window.__test.app.commands.run('publish')")
    name = f"blank {uuid.uuid4().hex[:6]}"
    field = editor.page.get_by_role("textbox", name="Keep this subgraph as")
    field.fill(name)
    field.press("Enter")
    editor.until(f"() => window.__test.app.parts.list.value.some((one) => one.name === '{name}')")
    editor.open({"nodes": [], "links": [], "version": 0.4})
    editor.page.evaluate("() => window.__test.app.ui.palette({ at: [50, 50] })")
    editor.page.get_by_role("combobox").fill(name)
    editor.page.get_by_role("combobox").press("Enter")
    editor.until(f"() => {DOC}.graph.nodes.size === 1 && {DOC}.flow.subs.size === 1")


def test_a_second_window_does_not_write_over_the_first(browser, base):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    first, second = context.new_page(), context.new_page()
    for page in (first, second):
        Editor(page, base).load()
    ids = [page.evaluate("() => window.__test.app.docs.value.map((doc) => doc.id)") for page in (first, second)]
    assert not set(ids[0]) & set(ids[1])
    first.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 6, key: 0, name: 'text', value: 'kept' }}))")
    Editor(first, base).until(
        f"async () => (await ({KEPT})({DOC}.id))?.data.nodes.some((node) => node.widgets_values?.[0] === 'kept')"
    )
    Editor(first, base).load()
    assert first.evaluate("() => window.__test.app.docs.value.map((doc) => doc.id)") == ids[0]
    context.close()
