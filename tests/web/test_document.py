"""A document through its life: versions, drafts, runs while nobody looks, errors that stay with it, what copies carry."""

import json
import urllib.request
import uuid

import pytest

from .editor import LOAD_SECONDS, Editor
from .scenes import HELLO, Sheet, apart
from .test_keys import wait_for
from .test_panels import QUICK
from .test_run import with_values

DOC = "window.__test.app.active.value"


def colour(editor, value: int) -> None:
    editor.page.evaluate(
        f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 3, name: 'color', value: {value} }}))"
    )


def test_saving_keeps_the_last_five_versions(editor):
    editor.open(QUICK)
    name = f"versions {uuid.uuid4().hex[:6]}"
    editor.focus()
    editor.key("Control+s")
    field = editor.page.get_by_role("textbox", name="Save as")
    field.fill(name)
    field.press("Enter")
    editor.until(f"() => {DOC}.file.value === '{name}.json' && !{DOC}.dirty.value")
    for value in range(1, 8):
        colour(editor, value)
        editor.focus()
        editor.key("Control+s")
        editor.until(f"() => !{DOC}.dirty.value")
    versions = editor.page.evaluate(f"() => window.__test.app.files.versions('{name}.json')")
    kept = [
        editor.page.evaluate(f"(one) => window.__test.app.files.readVersion('{name}.json', one)", version)["nodes"][0][
            "widgets_values"
        ][3]
        for version in versions
    ]
    assert kept == [6, 5, 4, 3, 2]


def test_a_browser_closed_during_a_run_finds_everything_in_its_place_and_the_result_too(browser, base):
    context = browser.new_context(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
    first = Editor(context.new_page(), base).load()
    first.open(with_values(5, 0, uuid.uuid4().int % 10**9))
    first.drag(first.title(4), first.page_at(60, 520))
    where = first.graph()["nodes"]["4"]["pos"]
    first.focus()
    first.key("Control+Enter")
    first.until(f"() => {DOC}.run.pending.value > 0 || {DOC}.run.outputs.has('7')")
    first.page.close()

    def idle() -> bool:
        with urllib.request.urlopen(f"{base}/queue", timeout=30) as answer:
            queue = json.load(answer)
        return not queue["queue_running"] and not queue["queue_pending"]

    again = Editor(context.new_page(), base)
    wait_for(again, idle, seconds=LOAD_SECONDS)
    again.load()
    assert again.graph()["nodes"]["4"]["pos"] == where
    again.until(f"() => {DOC}.run.outputs.has('7')")
    again.until("() => window.__test.counters.bitmaps.count > 0")
    context.close()


def test_an_error_stays_with_its_document_when_another_is_looked_at(editor):
    editor.open(QUICK)
    mine = editor.page.evaluate(f"() => {DOC}.id")
    editor.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 0, name: 'width', value: -5 }}))")
    editor.focus()
    editor.key("Control+Enter")
    editor.until(f"() => {DOC}.run.errors.value.length > 0")
    editor.open(HELLO)
    assert editor.page.evaluate(f"() => {DOC}.run.errors.value.length") == 0
    editor.page.evaluate("(id) => window.__test.app.activate(window.__test.app.docs.value.find((doc) => doc.id === id))", mine)
    editor.settle()
    assert editor.page.evaluate(f"() => {DOC}.run.stateOf({DOC}, 1).state") == "error"


def test_a_primitive_takes_what_it_feeds_and_keeps_its_control_when_copied(editor):
    editor.open(apart("EmptyLatentImage", "KSampler"))
    editor.menu(editor.widget(2, "seed"), "primitive")
    assert editor.value(3, "value") == 1
    editor.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 3, key: 1, value: 'increment' }}))")
    editor.click(editor.title(3))
    editor.page.keyboard.press("Control+c")
    editor.page.mouse.move(*editor.page_at(500, 500))
    editor.key("Control+v")
    editor.until("() => Object.keys(window.__test.counters.graph().nodes).length === 4")
    values = editor.page.evaluate(f"() => {DOC}.graph.node(4).values")
    assert values == [1, "increment"]


def test_values_are_not_rewritten_by_opening_a_file(editor):
    """A file with values its definitions do not know, too many of them, and keys nobody heard of comes back as it was."""
    sheet = Sheet()
    sheet.node(
        "KSampler", (0, 0), (300, 290), [], [("LATENT", "LATENT")], [2**53, "fixed", 4, 4.0, "gone_sampler", "normal", 1, "extra"]
    )
    sheet.node("NobodyHasThis", (400, 0), (300, 90), [], [], {"by": "name"}, unheard={"of": [1, 2]})
    graph = sheet.json() | {"mine": {"kept": True}}
    editor.open(graph)
    file = editor.page.evaluate("() => window.__test.file()")
    assert [node["widgets_values"] for node in file["nodes"]] == [node["widgets_values"] for node in graph["nodes"]]
    assert file["nodes"][1]["unheard"] == {"of": [1, 2]}
    assert file["mine"] == {"kept": True}
    assert not editor.page.evaluate(f"() => {DOC}.dirty.value")


@pytest.mark.parametrize("count", [1005])
def test_a_thousand_gestures_are_undone_one_by_one(editor, count):
    editor.open(QUICK)
    start = editor.page.evaluate("() => JSON.stringify(window.__test.file().nodes)")
    done = editor.page.evaluate(
        f"""(count) => {{
            const doc = {DOC};
            for (let i = 1; i <= count; i++) doc.edit('x', (e) => e.change({{ op: 'node=', id: 1, set: {{ pos: [i, i] }} }}));
            let n = 0;
            while (doc.undo()) n++;
            return [n, doc.graph.node(1).pos];
        }}""",
        count,
    )
    assert done == [1000, [count - 1000] * 2], "the last thousand; what is older is history"
    assert editor.page.evaluate("() => JSON.stringify(window.__test.file().nodes)") != start
