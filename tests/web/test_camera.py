"""Panning and zooming."""

import pytest

EMPTY = (1500, 820)  # a graph point with nothing there


def moved(before, after):
    return after["x"] - before["x"], after["y"] - before["y"]


def test_pan_by_dragging_empty_canvas(hello):
    before = hello.view()
    start = hello.page_at(400, 480)
    hello.drag(start, (start[0] + 120, start[1] - 60))
    assert moved(before, hello.view()) == pytest.approx((120, -60), abs=1)


def test_pan_with_the_middle_button_over_a_node(hello):
    before = hello.view()
    x, y = hello.title(5)
    hello.drag((x, y), (x - 80, y + 40), button="middle")
    assert moved(before, hello.view()) == pytest.approx((-80, 40), abs=1)


def test_pan_with_space_held_over_a_node(hello):
    before = hello.view()
    x, y = hello.title(5)
    hello.focus()
    hello.drag((x, y), (x - 80, y + 40), keys="Space")
    assert moved(before, hello.view()) == pytest.approx((-80, 40), abs=1)
    assert not hello.page.locator("[role=dialog]:visible").count(), "Space held is not Space tapped"


def test_pan_with_arrows_when_nothing_is_selected(hello):
    hello.focus()
    before = hello.view()
    hello.key("ArrowLeft")
    assert moved(before, hello.view())[0] > 0


def test_zoom_at_the_pointer_with_the_wheel(hello):
    x, y = hello.title(5)
    hello.page.mouse.move(x, y)
    hello.page.mouse.wheel(0, -240)
    hello.settle()
    assert hello.view()["scale"] > 1.3
    assert hello.title(5) == pytest.approx((x, y), abs=1.5), "the point under the pointer stays"


def test_zoom_by_ctrl_shift_drag(hello):
    start = hello.page_at(400, 480)
    hello.drag(start, (start[0], start[1] - 100), keys="Control+Shift")
    assert hello.view()["scale"] > 1.5


def test_zoom_with_keys(hello):
    hello.focus()
    hello.key("Alt+=")
    assert hello.view()["scale"] == pytest.approx(1.25)
    hello.key("Alt+-")
    assert hello.view()["scale"] == pytest.approx(1)
    hello.key("Alt+-")
    hello.key("0")
    assert hello.view()["scale"] == pytest.approx(1)


@pytest.mark.parametrize("key", [".", "Home"])
def test_fit_all(hello, key):
    hello.camera(-5000, -5000, 2)
    hello.focus()
    hello.key(key)
    for node in (1, 7):
        x, y = hello.title(node)
        assert 0 < x < 1600
        assert 0 < y < 900


def test_fit_selection(hello):
    hello.click(hello.title(4))
    hello.camera(-5000, -5000, 0.2)
    hello.key(".")
    x, y = hello.title(4)
    assert abs(x - 800) < 300
    assert abs(y - 450) < 250
    assert hello.view()["scale"] == pytest.approx(1)


def test_bookmarks(hello):
    hello.focus()
    hello.key("Shift+Digit3")
    kept = hello.view()
    hello.camera(-900, 40, 0.5)
    hello.key("3")
    assert hello.view() == pytest.approx(kept)


def test_the_minimap_moves_the_camera(hello):
    hello.camera(-4000, -4000, 1)
    box = hello.page.locator(".minimap").bounding_box()
    hello.click((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    x, y = hello.title(5)
    assert 0 < x < 1600
    assert 0 < y < 900
