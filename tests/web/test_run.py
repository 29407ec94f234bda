"""A job seen on the canvas: the ring, the preview, the picture, the error."""

import copy

import pytest

from .scenes import HELLO
from .test_widgets import PNG

JOB_SECONDS = 120


def with_values(node: int, place: int, value) -> dict:
    graph = copy.deepcopy(HELLO)
    graph["nodes"][node - 1]["widgets_values"][place] = value
    return graph


def wait_for_end(editor) -> None:
    editor.until("() => window.__test.app.active.value.run.outputs.has('7')", seconds=JOB_SECONDS)
    editor.until("() => !window.__test.app.active.value.run.prompt.value", seconds=JOB_SECONDS)
    editor.settle()


def test_a_run_shows_its_progress_and_puts_the_picture_on_the_node(editor, request):
    seed = abs(hash(request.node.name)) % 10**9
    editor.open(with_values(5, 0, seed))
    editor.focus()
    before = editor.draws()
    editor.key("Control+Enter")
    wait_for_end(editor)
    draws = editor.draws()
    assert draws.get("over:run", 0) > before.get("over:run", 0), "the ring was drawn"
    editor.until("() => window.__test.counters.bitmaps.count > 0")
    editor.settle()
    box = editor.graph()["nodes"]["7"]["box"]
    a, b = editor.page_at(box[0] + 10, box[1] + 80), editor.page_at(box[2] - 10, box[3] - 10)
    shot = editor.page.screenshot(clip={"x": a[0], "y": a[1], "width": b[0] - a[0], "height": b[1] - a[1]})
    assert len(shot) > 3000, "a picture, not a plain surface"


def test_a_click_on_a_picture_opens_it_large(editor):
    editor.open(HELLO)
    editor.focus()
    editor.key("Control+Enter")
    wait_for_end(editor)
    box = editor.graph()["nodes"]["7"]["box"]
    editor.click(editor.page_at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 30))
    editor.page.wait_for_selector("dialog[open] img, .lightbox img, .light img")
    editor.page.keyboard.press("Escape")


def test_a_failed_node_says_why_on_itself(hello):
    before = hello.draws()
    hello.page.evaluate(
        "() => window.__test.app.active.value.run.fail([{path: '5', type: 'x', message: 'The model is too large.'}])"
    )
    hello.settle()
    after = hello.draws()
    assert after["over"] == before["over"] + 1
    assert after["scene"] == before["scene"]
    x, y = hello.page_at(*[hello.graph()["nodes"]["5"]["box"][0] + 20, hello.graph()["nodes"]["5"]["box"][1] - 10])
    shot = hello.page.screenshot(clip={"x": x - 10, "y": y - 12, "width": 120, "height": 20})
    assert len(shot) > 400


@pytest.mark.parametrize("count", [3])
def test_previews_appear_while_sampling(hello, count):
    hello.page.evaluate(
        """async (count) => {
            const { run } = window.__test.app.active.value;
            const canvas = new OffscreenCanvas(64, 64);
            canvas.getContext('2d').fillRect(0, 0, 64, 64);
            for (let i = 0; i < count; i++) run.previewed('5', await canvas.convertToBlob({ type: 'image/jpeg' }));
        }""",
        count,
    )
    hello.until("() => window.__test.counters.bitmaps.live === 1")
    hello.page.wait_for_timeout(100)
    assert hello.count("bitmaps")["live"] == 1, "the newest frame only"


def test_a_picture_dropped_on_the_canvas_opens_its_workflow_and_on_a_loader_is_its_input(editor):
    from .scenes import apart

    editor.open(apart("LoadImage"))
    drop = """async ([x, y, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'drop.png', { type: 'image/png' }));
        const element = document.elementFromPoint(x, y);
        const where = { bubbles: true, cancelable: true, clientX: x, clientY: y, dataTransfer: data };
        for (const kind of ['dragenter', 'dragover', 'drop']) element.dispatchEvent(new DragEvent(kind, where));
    }"""
    editor.page.evaluate(drop, [*editor.title(1), list(PNG)])
    editor.until("() => window.__test.counters.graph().nodes[1].values.image.startsWith('drop')")


def test_a_preview_goes_with_its_run(editor):
    """It lies under its sampler, over whatever is there: it must not stay when the run has ended."""
    editor.open(with_values(5, 2, 60))
    editor.page.mouse.move(5, 5)
    before = editor.draws().get("over:preview", 0)
    editor.focus()
    editor.key("Control+Enter")
    editor.until(f"() => (window.__test.counters.draws['over:preview'] ?? 0) > {before}", seconds=JOB_SECONDS)
    wait_for_end(editor)
    editor.until("() => window.__test.counters.bitmaps.live === 0")
    editor.settle()
    ink = editor.page.evaluate(
        """() => {
            const { stage } = window.__test.app.canvas;
            const node = stage.graph.node(5), canvas = document.querySelector('canvas.over');
            const [x, y] = node.pos, k = canvas.width / canvas.clientWidth;
            const at = stage.camera.toScreen(x + node.size[0] / 2, y + node.size[1] + 60);
            return [...canvas.getContext('2d').getImageData(at.x * k, at.y * k, 8, 8).data].some((value) => value > 0);
        }"""
    )
    assert not ink
