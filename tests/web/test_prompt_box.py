"""Writing prompts: weights by key, names that complete themselves, a count of tokens. On the canvas and in app mode."""

import json

import pytest

from .conftest import serve
from .editor import Editor
from .scenes import HELLO

DOC = "window.__test.app.active.value"


@pytest.fixture(scope="module")
def writer(browser, tmp_path_factory):
    """The editor on a server whose model folder has an embedding and a LoRA."""
    home = tmp_path_factory.mktemp("prompts")
    for folder, name in (
        ("embeddings", "soft-light.safetensors"),
        ("embeddings", "bad-hands.pt"),
        ("loras", "ink/brush.safetensors"),
    ):
        path = home / "models" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with serve(home, "--models-directory", str(home / "models")) as url:
        context = browser.new_context(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
        yield Editor(context.new_page(), url).load()
        context.close()


@pytest.fixture
def box(writer):
    """The text box of the first prompt, open on the canvas and empty."""
    graph = json.loads(json.dumps(HELLO))
    writer.open(graph)
    writer.click(writer.widget(2, "text"))
    area = writer.page.locator("textarea.widget-input")
    area.fill("")
    writer.page.locator(".assist-count").wait_for()
    yield area
    writer.key("Escape")
    assert not writer.problems


def test_ctrl_up_and_down_weigh_the_selection_and_the_word_at_the_caret(box):
    box.fill("a cat on a mat")
    box.evaluate("(area) => area.setSelectionRange(2, 5)")
    box.press("Control+ArrowUp")
    assert box.input_value() == "a (cat:1.1) on a mat"
    box.press("Control+ArrowUp")
    assert box.input_value() == "a (cat:1.2) on a mat"
    for _ in range(2):
        box.press("Control+ArrowDown")
    assert box.input_value() == "a cat on a mat"
    box.press("Control+Shift+ArrowDown")
    assert box.input_value() == "a (cat:0.95) on a mat"
    box.press("End")
    box.press("Control+ArrowUp")
    assert box.input_value() == "a (cat:0.95) on a (mat:1.1)"


@pytest.mark.parametrize(
    ("typed", "taken"),
    [("a photo, embedding:so", "a photo, embedding:soft-light"), ("ink <lora:bru", "ink <lora:ink/brush:1>")],
    ids=["embedding", "lora"],
)
def test_names_complete_themselves(box, typed, taken):
    box.press_sequentially(typed)
    box.page.locator(".assist [role=option]").first.wait_for()
    box.press("Tab")
    assert box.input_value() == taken
    assert box.evaluate("(area) => document.activeElement === area"), "one goes on writing"


def test_of_several_names_one_is_chosen_with_the_arrows(box):
    box.press_sequentially("embedding:")
    options = box.page.locator(".assist [role=option]")
    options.nth(1).wait_for()
    second = options.nth(1).inner_text()
    box.press("ArrowDown")
    assert options.nth(1).get_attribute("aria-selected") == "true"
    box.press("Enter")
    assert box.input_value() == f"embedding:{second}"
    assert options.count() == 0


def test_the_count_of_tokens_follows_what_is_written(box):
    """As CLIP counts: weights are none, an embedding is one, a row holds 75."""
    count = box.page.locator(".assist-count")
    for text, shown in (
        ("", "0 / 75"),
        ("a cat", "2 / 75"),
        ("a cat on a mat, (painted:1.2) in oil", "9 / 75"),
        ("embedding:bad-hands, antidisestablishmentarianism", "8 / 75"),
        ("cat " * 80, "80 / 150"),
    ):
        box.fill(text)
        count.get_by_text(shown, exact=True).wait_for()
