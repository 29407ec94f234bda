"""Ports that change with their use, on nodes of a V3 pack: lists that grow, choices that bring inputs, any type."""

from pathlib import Path

import pytest

from .conftest import ROOT, serve
from .editor import Editor
from .scenes import Sheet

DOC = "window.__test.app.active.value"


@pytest.fixture(scope="module")
def pack(browser, tmp_path_factory):
    """An editor on a server with the pack of the schema tests."""
    home: Path = tmp_path_factory.mktemp("packs")
    config = home / "packs.yaml"
    config.write_text(f"packs:\n  custom_nodes: {ROOT / 'tests' / 'comfy' / 'packs'}\n")
    only = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", "schema", "--trust-all-packs")
    with serve(home, "--extra-model-paths-config", str(config), *only) as url:
        context = browser.new_context(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
        yield Editor(context.new_page(), url).load()
        context.close()


@pytest.fixture
def grown(pack):
    """Two numbers, a node that adds as many as one likes, and a node that shows anything; no wires yet."""
    sheet = Sheet()
    for i, value in enumerate((7, 5, 30)):
        sheet.node("PrimitiveInt", (0, 130 * i), (240, 82), [], [("INT", "INT")], [value, "fixed"])
    pack.open(sheet.json(), scale=1, offset=(80, 160))
    for kind, x in (("Schema Grown", 440), ("Schema Show", 880)):
        pack.page.mouse.move(*pack.page_at(x, 0))
        pack.focus()
        pack.key("Shift+A")
        pack.page.get_by_role("combobox").fill(kind)
        pack.page.keyboard.press("Enter")
        pack.settle()
    yield pack
    assert not pack.problems, pack.problems


def ports(editor, node: int = 4) -> list[str]:
    return editor.page.evaluate(f"(id) => {DOC}.graph.node(id).inputs.map((slot) => slot.name)", node)


def widgets(editor, node: int = 4) -> list[str]:
    return editor.page.evaluate(f"(id) => {DOC}.graph.node(id).widgets.map((widget) => widget.name)", node)


def test_a_list_of_inputs_grows_with_its_wires_and_shrinks_again(grown):
    assert ports(grown) == ["numbers.n0", "numbers.n1"]
    for i in range(3):
        grown.drag(grown.output(i + 1), grown.input(4, i))
    assert ports(grown) == ["numbers.n0", "numbers.n1", "numbers.n2", "numbers.n3"]
    grown.drag(grown.input(4, 2), grown.page_at(330, 520))
    assert ports(grown) == ["numbers.n0", "numbers.n1", "numbers.n2"]
    grown.key("Control+z")
    assert ports(grown) == ["numbers.n0", "numbers.n1", "numbers.n2", "numbers.n3"]


def test_a_choice_brings_its_inputs_and_the_whole_runs(grown):
    assert widgets(grown) == ["how"]
    grown.click(grown.widget(4, "how"))
    grown.page.get_by_role("option", name="scaled").click()
    grown.settle()
    assert widgets(grown) == ["how", "how.by"]
    grown.click(grown.widget(4, "how.by"))
    grown.page.keyboard.type("3")
    grown.key("Enter")
    for i in range(2):
        grown.drag(grown.output(i + 1), grown.input(4, i))
    grown.drag(grown.output(4), grown.input(5, 0))
    assert (4, 0, 5, 0) in grown.links(), "a socket of any type takes a number"
    grown.focus()
    grown.key("Control+Enter")
    grown.until(f"() => {DOC}.run.output('5')?.text", seconds=60)
    assert grown.page.evaluate(f"() => {DOC}.run.output('5').text") == ["36"], "(7 + 5) * 3"
    grown.click(grown.widget(4, "how"))
    grown.page.get_by_role("option", name="sum").click()
    grown.settle()
    assert widgets(grown) == ["how"]


def test_such_a_node_is_read_back_from_its_file_as_it_was(grown):
    grown.drag(grown.output(1), grown.input(4, 0))
    grown.drag(grown.output(2), grown.input(4, 1))
    before = grown.page.evaluate("() => window.__test.file()")
    links = grown.links()
    grown.open(before, offset=(80, 160))
    assert ports(grown) == ["numbers.n0", "numbers.n1", "numbers.n2"]
    assert grown.links() == links
