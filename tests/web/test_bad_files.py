"""Files that will not do, as an artist meets them: one sentence at the node, whole, and the next run goes on."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from .conftest import ROOT, serve
from .editor import Editor
from .scenes import HELLO
from .test_panels import DOC

DEMO = ROOT / "models" / "checkpoints" / "loom-demo.safetensors"
LORA = ROOT / "models" / "loras" / "loom-demo-lcm.safetensors"
TRUNCATED, NOTES = "truncated.safetensors", "notes.safetensors"
STRANGE, INPAINTING = "a-lora.safetensors", "inpainting.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A server whose models are some that will not do, and the one that will."""
    home = tmp_path_factory.mktemp("bad")
    files = home / "models" / "checkpoints"
    files.mkdir(parents=True)
    whole = DEMO.read_bytes()
    (files / DEMO.name).write_bytes(whole)
    (files / TRUNCATED).write_bytes(whole[: len(whole) // 2])
    (files / NOTES).write_text("What I think of this model.\n" * 20)
    (files / STRANGE).write_bytes(LORA.read_bytes())
    tensors = load_file(DEMO)
    first = tensors["model.diffusion_model.input_blocks.0.0.weight"]
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.cat([first, first.new_zeros(len(first), 5, 3, 3)], 1)
    save_file(tensors, files / INPAINTING)
    with serve(home, "--models-directory", str(home / "models")) as url:
        yield url


@pytest.fixture(scope="module")
def artist(browser, folder):
    context = browser.new_context(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
    one = Editor(context.new_page(), folder).load()
    yield one
    assert not one.problems, one.problems
    context.close()


def run_with(editor, checkpoint):
    workflow = copy.deepcopy(HELLO)
    workflow["nodes"][0]["widgets_values"] = [checkpoint]
    editor.open(workflow, scale=0.8, offset=(120, 260))
    editor.focus()
    editor.key("Control+Enter")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (TRUNCATED, ["truncated", "download it again"]),
        (NOTES, ["no model file", "choose another"]),
        (STRANGE, ["a LoRA", "models/loras", "Load LoRA"]),
        ("gone.safetensors", ["expected a file in checkpoints", "gone.safetensors", "Did you mean"]),
    ],
)
def test_a_bad_file_says_at_its_node_what_to_do(artist, file, words):
    run_with(artist, file)
    said = artist.until(f"() => {DOC}.run.stateOf({DOC}, 1).error", seconds=60)
    assert all(word in said for word in words), said
    assert not said.startswith("node"), "which node it is one sees"
    assert drawn(artist, 1) == said, "no part of it is cut off"


def drawn(editor, node):
    """What is written above a node, but for its time: the lines that the overlay draws anew, put together."""
    return editor.page.evaluate(
        """(id) => {
            const { stage } = window.__test.app.canvas;
            const lines = [];
            const write = CanvasRenderingContext2D.prototype.fillText;
            const [x, y] = stage.graph.node(id).pos;
            CanvasRenderingContext2D.prototype.fillText = function (text, left, top) {
                if (this.canvas.className.includes('over') && left === x + 10 && top < y - 30) lines.push(text);
                return write.apply(this, arguments);
            };
            stage.mark('over', 'run');
            stage.frames.run();
            CanvasRenderingContext2D.prototype.fillText = write;
            return lines.join(' ');
        }""",
        node,
    )


def test_the_queue_goes_on_after_them(artist):
    run_with(artist, TRUNCATED)
    run_with(artist, DEMO.name)
    artist.until(f"() => {DOC}.run.outputs.get('7')?.images?.length", seconds=60)
    history = json.loads(artist.page.evaluate("() => fetch('api/history?max_items=1').then((answer) => answer.text())"))
    assert next(iter(history.values()))["status"]["status_str"] == "success"


def test_what_a_node_has_to_say_is_read_at_it(artist):
    run_with(artist, INPAINTING)
    artist.until(f"() => {DOC}.run.outputs.get('7')?.images?.length && !{DOC}.run.pending.value", seconds=60)
    said = artist.page.evaluate(f"() => {DOC}.run.notes.get('5')")
    assert "InpaintModelConditioning" in said
    assert drawn(artist, 5) == said
    assert "Stable Diffusion 1" in artist.page.evaluate(f"() => {DOC}.run.notes.get('1')")
    assert drawn(artist, 1) == "", "what a loader says each time is in the panels"
