"""The gallery and the picture at full size: finding, comparing, using, saving and deleting what was made."""

import urllib.error
import urllib.request
import uuid

import pytest

from .test_panels import DOC, QUICK, panel, run


@pytest.fixture
def two(editor):
    """Two pictures of different colours by one workflow, the red one newer; the gallery open."""
    mark = uuid.uuid4().hex[:8]
    editor.open(QUICK)
    for color in (255, 0xFF0000):
        change = f"(e) => {{ e.change({{ op: 'value', id: 1, key: 3, name: 'color', value: {color} }}); "
        change += f"e.change({{ op: 'value', id: 2, key: 0, name: 'filename_prefix', value: '{mark}' }}); }}"
        editor.page.evaluate(f"() => {DOC}.edit('x', {change})")
        run(editor)
    editor.mark = mark
    body = panel(editor, "gallery")
    body.get_by_label("Search pictures").fill(mark)
    body.locator(".cell").nth(1).wait_for()
    yield editor
    panel(editor, "")


def cells(editor):
    return editor.page.locator(".panel .cell")


def test_a_search_finds_pictures_by_name_and_prompt(two):
    assert cells(two).count() == 2
    two.page.get_by_label("Search pictures").fill(f"{two.mark}_00002")
    two.until("() => document.querySelectorAll('.panel .cell').length === 1")
    two.page.get_by_label("Search pictures").fill("no such picture anywhere")
    two.page.locator(".panel .none").wait_for()


def test_a_run_that_only_reads_the_cache_adds_no_second_copy(two):
    run(two)
    assert cells(two).count() == 2


def test_two_pictures_are_compared_with_a_line_that_mouse_and_keys_move(two):
    for i in (0, 1):
        two.page.locator(".panel .pick").nth(i).check()
    two.page.locator(".panel-foot").get_by_label("Compare").click()
    stage = two.page.locator(".compare")
    stage.locator("img").first.wait_for()
    at = "() => parseFloat(document.querySelector('.compare i').style.left)"
    box = stage.bounding_box()
    two.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    two.until(f"() => Math.abs(({at})() - 25) < 2")
    shot = two.page.screenshot(
        clip={"x": box["x"] + box["width"] / 2 - 4, "y": box["y"] + box["height"] / 2, "width": 8, "height": 8}
    )
    slider = two.page.get_by_role("slider")
    slider.focus()
    slider.press("End")
    two.until(f"() => ({at})() === 100")
    two.page.mouse.move(1, 1)
    after = two.page.screenshot(
        clip={"x": box["x"] + box["width"] / 2 - 4, "y": box["y"] + box["height"] / 2, "width": 8, "height": 8}
    )
    assert shot != after, "the middle shows the other picture now"
    two.key("Escape")
    two.page.locator(".panel-foot").get_by_label("Choose none").click()


def test_a_picture_at_full_size_is_stepped_through_zoomed_and_told_of(two):
    cells(two).first.click()
    name = two.page.locator(".light-head > span")
    first = name.inner_text()
    two.key("ArrowRight")
    assert name.inner_text() != first
    two.key("ArrowLeft")
    two.key("z")
    assert two.page.locator(".light-body.actual img").count() == 1
    two.key("z")
    two.key("i")
    told = two.page.locator(".light-info").inner_text()
    assert "EmptyImage" in told
    assert str(0xFF0000) in told
    two.page.locator(".light-head").get_by_label("Open its workflow").click()
    two.until(f"() => {DOC}.name.value === '{first.removesuffix('.png')}'")
    assert two.value(1, "color") == 0xFF0000


def test_a_picture_goes_to_the_selected_node_that_loads_pictures(two):
    load = {
        "id": 9,
        "type": "LoadImage",
        "pos": [40, 400],
        "size": [240, 300],
        "inputs": [],
        "outputs": [],
        "widgets_values": ["x.png"],
    }
    two.open({**QUICK, "nodes": [load], "links": []})
    two.page.evaluate(f"() => {DOC}.select({{ nodes: [9] }})")
    cells(two).first.click()
    two.page.locator(".light-head").get_by_label("Use as an input").click()
    two.until(f"() => String({DOC}.graph.node(9).values[0]).startsWith('{two.mark}')")
    assert list(two.graph()["nodes"]) == ["9"]


def test_a_picture_is_saved_to_the_disk_as_it_is(two):
    cells(two).first.click(button="right")
    with two.page.expect_download() as waiting:
        two.page.get_by_role("menuitem", name="Download").click()
    path = waiting.value.path()
    assert waiting.value.suggested_filename.startswith(two.mark)
    assert b"workflow" in path.read_bytes(), "what made it goes along"


def test_a_deleted_picture_is_gone_from_the_server(two):
    file = two.page.evaluate(f"() => {DOC}.run.output('2').images[0]")
    address = f"{two.base}/view?filename={file['filename']}&type=output"
    urllib.request.urlopen(address).close()
    cells(two).first.click()
    two.key("Delete")
    two.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    two.until("() => document.querySelector('.light-head > span')?.textContent.includes('_00001_')")
    two.key("Escape")
    assert cells(two).count() == 1
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address)
