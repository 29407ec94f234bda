"""Pictures on nodes, and files dropped: opened large, compared, dragged out, dropped in."""

import json
import struct
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .scenes import HELLO, apart
from .test_panels import QUICK, run

DOC = "window.__test.app.active.value"
COLOUR = f"(value) => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 3, name: 'color', value }}))"
EMPTY = (1100, 700)


@pytest.fixture
def made(editor):
    """Two runs of a blank picture, in two colours: the second one is on the node."""
    editor.open(QUICK)
    for colour in (255, 65280):
        editor.page.evaluate(COLOUR, colour)
        editor.focus()
        run(editor)
    editor.until("() => window.__test.counters.bitmaps.count > 0")
    editor.settle()
    return editor


def picture(editor, node: int = 2) -> tuple[float, float]:
    """The middle of the picture on a node."""
    return tuple(editor.page.evaluate("(id) => window.__test.counters.picture(id)", node))


def test_a_click_on_a_picture_opens_it_large(made):
    made.click(picture(made))
    made.page.locator("dialog .light img").first.wait_for()
    made.key("Escape")


def test_a_picture_held_is_compared_with_the_one_before(made):
    made.page.mouse.move(*picture(made))
    made.page.mouse.down()
    made.page.locator(".compare img").nth(1).wait_for()
    made.page.mouse.up()
    sources = made.page.locator(".compare img").evaluate_all("(list) => list.map((one) => one.src)")
    assert len(set(sources)) == 2, "two pictures"
    made.key("Escape")
    assert not made.page.locator("dialog[open]").count()


def test_a_picture_is_dragged_out_as_a_file(made):
    made.page.evaluate(
        """() => addEventListener('dragstart', ({ dataTransfer }) => {
            const types = ['DownloadURL', 'text/uri-list', 'application/x-latent-loom-file'];
            window.__carried = Object.fromEntries(types.map((type) => [type, dataTransfer.getData(type)]));
        }, { once: true })"""
    )
    before = made.graph()["nodes"]["2"]["pos"]
    at = picture(made)
    made.drag(at, (at[0] + 300, at[1] + 200))
    carried = made.page.evaluate("() => window.__carried")
    kind, name, url = carried["DownloadURL"].split(":", 2)
    assert (kind, name.endswith(".png")) == ("image/png", True)
    assert made.page.request.get(url).body().startswith(b"\x89PNG")
    assert carried["text/uri-list"] == url
    assert made.graph()["nodes"]["2"]["pos"] == before, "the node stays"


def test_a_picture_dragged_to_a_loader_is_its_input(editor, made):
    graph = json.loads(json.dumps(QUICK))
    graph["nodes"].append(apart("LoadImage")["nodes"][0] | {"id": 3, "pos": [700, 60]})
    graph["last_node_id"] = 3
    made.open(graph)
    made.focus()
    run(made)
    made.until("() => window.__test.counters.bitmaps.count > 0")
    made.settle()
    made.drag(picture(made), made.title(3))
    made.until("() => window.__test.counters.graph().nodes[3].values.image.startsWith('quick')")


def test_a_picture_is_saved_from_the_menu_of_its_node(made):
    with made.page.expect_download() as download:
        made.menu(made.title(2), "Download")
    assert download.value.suggested_filename.endswith(".png")


def workflow_in(path: Path) -> Path:
    """A file of the kind its name says, with the hello graph in it as this program and ComfyUI write it."""
    text = json.dumps(HELLO)
    if path.suffix == ".json":
        path.write_text(text)
    elif path.suffix == ".png":
        info = PngInfo()
        info.add_text("workflow", text)
        Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    elif path.suffix == ".webp":
        exif = Image.Exif()
        exif[0x010E] = f"workflow:{text}"
        Image.new("RGB", (8, 8)).save(path, exif=exif)
    else:
        path.write_bytes(film_with("workflow", text))
    return path


def film_with(key: str, text: str) -> bytes:
    """An MP4 without a track, with one tag as ffmpeg writes it with ``-movflags use_metadata_tags``."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        data = b"".join(parts)
        return struct.pack(">I4s", 8 + len(data), kind) + data

    none = bytes(4)
    handler = box(b"hdlr", none, none, b"mdta", bytes(12), b"\0")
    keys = box(b"keys", none, struct.pack(">I", 1), box(b"mdta", key.encode()))
    item = box(struct.pack(">I", 1), box(b"data", struct.pack(">II", 1, 0), text.encode()))
    moov = box(b"moov", box(b"meta", handler, keys, box(b"ilst", item)))
    return box(b"ftyp", b"isom", none, b"isommp42") + moov


@pytest.mark.parametrize("kind", ["json", "png", "webp", "mp4"])
def test_a_dropped_file_opens_its_workflow(editor, tmp_path, kind):
    tabs = editor.page.evaluate("() => window.__test.app.docs.value.length")
    editor.drop(workflow_in(tmp_path / f"boats.{kind}"), EMPTY)
    editor.until(f"() => window.__test.app.docs.value.length > {tabs}")
    assert len(editor.graph()["nodes"]) == 7
    assert editor.page.evaluate(f"() => {DOC}.name.value") == "boats"


def test_a_picture_dropped_on_a_loader_is_its_input(editor, tmp_path):
    editor.open(apart("LoadImage"))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    editor.drop(tmp_path / "red.png", editor.title(1))
    editor.until("() => window.__test.counters.graph().nodes[1].values.image.startsWith('red')")


def test_a_plain_picture_dropped_on_empty_canvas_becomes_a_loader(editor, tmp_path):
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "blue.png")
    editor.drop(tmp_path / "blue.png", EMPTY)
    editor.until("() => Object.values(window.__test.counters.graph().nodes).some((one) => one.type === 'LoadImage')")


def test_a_picture_dropped_on_the_gallery_is_compared(made, tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "other.png")
    made.focus()
    made.key("a")
    cell = made.page.locator(".panel .cell").first
    cell.wait_for()
    box = cell.bounding_box()
    tabs = made.page.evaluate("() => window.__test.app.docs.value.length")
    made.drop(tmp_path / "other.png", (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    made.page.locator(".compare img").nth(1).wait_for()
    assert made.page.evaluate("() => window.__test.app.docs.value.length") == tabs
    made.key("Escape")


def test_open_with_a_key(editor, tmp_path):
    editor.focus()
    with editor.page.expect_file_chooser() as chosen:
        editor.page.keyboard.press("Control+o")
    chosen.value.set_files(str(workflow_in(tmp_path / "chosen.json")))
    editor.until(f"() => {DOC}.name.value === 'chosen'")
    assert len(editor.graph()["nodes"]) == 7
