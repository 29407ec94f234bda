"""Exact counts of work: the same on every machine, so they may block."""

import pytest

from .editor import Editor
from .scenes import HELLO, STEPS, many

IDLE_SECONDS = 5


def spent(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def test_an_idle_page_draws_nothing(hello):
    before = hello.draws()
    hello.page.wait_for_timeout(IDLE_SECONDS * 1000)
    assert spent(before, hello.draws()) == {}


def test_a_burst_of_input_is_one_draw_a_layer_a_frame(hello):
    x, y = hello.page_at(400, 480)
    before, frames = hello.draws(), hello.count("frames")
    hello.drag((x, y), (x + 200, y + 90), steps=150)
    draws, frames = spent(before, hello.draws()), hello.count("frames") - frames
    for layer in ("scene", "over", "mini"):
        assert draws.get(layer, 0) <= frames


PUT = "([value, max]) => window.__test.app.active.value.run.put('5', {state: 'run', value, max})"


def test_progress_of_one_node_is_one_overlay_draw_and_no_scene_draw(hello):
    hello.page.evaluate(PUT, [1, 20])
    hello.settle()
    before = hello.draws()
    hello.page.evaluate(PUT, [2, 20])
    hello.settle()
    assert spent(before, hello.draws()) == {"over": 1, "over:run": 1}


def test_equal_progress_draws_nothing(hello):
    hello.page.evaluate(PUT, [3, 20])
    hello.settle()
    before = hello.draws()
    hello.page.evaluate(PUT, [3, 20])
    hello.settle()
    assert spent(before, hello.draws()) == {}


@pytest.mark.parametrize("count", [100, 1000, 5000])
def test_dom_elements_do_not_grow_with_the_graph(editor, count):
    editor.open(many(count), scale=0.6)
    assert editor.count("dom") < 2000


@pytest.mark.parametrize("count", [100, 1000, 5000])
def test_only_nodes_in_view_are_visited(editor, count):
    editor.open(many(count), scale=1)
    graph = editor.graph()
    view = editor.view()
    size = editor.page.evaluate("() => window.__test.app.canvas.size")
    x0, y0 = -view["x"] - 10, -view["y"] - 10
    x1, y1 = x0 + size[0] + 20, y0 + size[1] + 20
    seen = [
        node
        for node in graph["nodes"].values()
        if node["box"][0] < x1 and node["box"][2] > x0 and node["box"][1] < y1 and node["box"][3] > y0
    ]
    scene = editor.scene()
    assert scene["visited"] == len(seen) < 20
    assert scene["texts"] > 0


@pytest.mark.parametrize("scale", [0.39, 0.2, 0.05])
def test_no_text_below_40_percent(editor, thousand, scale):
    editor.open(thousand, scale=scale)
    assert editor.scene()["texts"] == 0


@pytest.mark.parametrize("count", [1, 40])
def test_a_drag_draws_the_scene_at_its_start_and_at_its_end(editor, thousand, count):
    editor.open(thousand, scale=0.6)
    ids = list(range(1, count + 1))
    editor.page.evaluate("(ids) => window.__test.app.active.value.select({nodes: ids})", ids)
    editor.settle()
    x, y = editor.title(1)
    editor.page.mouse.move(x, y)
    editor.settle()
    before = editor.draws()
    editor.drag((x, y), (x + 160, y + 90), steps=30)
    draws = spent(before, editor.draws())
    assert draws["scene"] == 2, draws
    assert draws["scene:drag"] == 1
    assert draws["scene:drop"] == 1
    assert draws["over"] >= 2
    assert editor.scene()["overNodes"] <= count


def test_the_edit_of_a_widget_writes_no_graph_and_a_small_undo_entry(editor, thousand):
    editor.open(thousand, scale=1, offset=(-500, 200))
    editor.page.evaluate(
        """() => {
            const write = JSON.stringify;
            window.__longest = 0;
            JSON.stringify = (...args) => {
                const text = write(...args);
                window.__longest = Math.max(window.__longest, text?.length ?? 0);
                return text;
            };
        }"""
    )
    x, y = editor.widget(5, "steps")
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    editor.page.mouse.move(x + 80, y, steps=10)
    longest = editor.page.evaluate("() => window.__longest")
    editor.page.mouse.up()
    editor.settle()
    assert longest < 10_000, "the graph was written out during the gesture"
    assert editor.value(5, "steps") != STEPS
    entry = editor.page.evaluate("() => window.__test.app.active.value.history.past.at(-1).nbytes")
    assert entry < 1024


COUNT_URLS = """
window.__urls = 0;
const make = URL.createObjectURL, drop = URL.revokeObjectURL;
URL.createObjectURL = (blob) => (window.__urls++, make.call(URL, blob));
URL.revokeObjectURL = (url) => (window.__urls--, drop.call(URL, url));
"""


@pytest.fixture
def counted(browser, base):
    """A page that counts object URLs."""
    context = browser.new_context(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.add_init_script(COUNT_URLS)
    one = Editor(page, base).load()
    one.open(HELLO)
    yield one
    context.close()


def test_tabs_opened_and_closed_leave_nothing(counted):
    start = counted.count("bitmaps")["count"], counted.page.evaluate("() => window.__urls")
    for _ in range(100):
        counted.page.evaluate(
            """async (graph) => {
                const { app } = window.__test;
                const before = app.active.value;
                const doc = window.__test.open(graph) ?? app.active.value;
                await new Promise(requestAnimationFrame);
                await app.close(doc);
                if (app.active.value !== before) app.activate(before);
            }""",
            HELLO,
        )
    counted.settle()
    assert (counted.count("bitmaps")["count"], counted.page.evaluate("() => window.__urls")) == start
    assert counted.page.evaluate("() => window.__test.app.docs.value.length") <= 2


def test_previews_are_dropped_as_newer_ones_come(counted):
    start = counted.count("bitmaps")["count"]
    counted.page.evaluate(
        """async () => {
            const { run } = window.__test.app.active.value;
            const canvas = new OffscreenCanvas(64, 64);
            const pen = canvas.getContext('2d');
            for (let i = 0; i < 500; i++) {
                pen.fillStyle = `hsl(${i} 60% 50%)`;
                pen.fillRect(0, 0, 64, 64);
                run.previewed('5', await canvas.convertToBlob({ type: 'image/jpeg' }));
                if (i % 25 === 0) await new Promise(requestAnimationFrame);
            }
        }"""
    )
    counted.until("(most) => window.__test.counters.bitmaps.count <= most", start + 1)  # one frame is kept: the newest
    counted.page.evaluate("() => window.__test.app.active.value.run.dropPreviews()")
    counted.until("(start) => window.__test.counters.bitmaps.count === start", start)
