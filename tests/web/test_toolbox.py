"""The buttons above a selection, and the box in the corner."""

import pytest

BAR = ".toolbox:not([hidden])"


def button(editor, icon):
    return editor.page.locator(f'{BAR} button:has(use[href$="#{icon}"])')


def test_it_shows_while_something_is_selected(hello):
    assert hello.page.locator(BAR).count() == 0
    hello.click(hello.title(5))
    assert hello.page.locator(BAR).count() == 1
    hello.click(hello.page_at(400, 480))
    assert hello.page.locator(BAR).count() == 0


@pytest.mark.parametrize(("icon", "mode"), [("volume-x", 2), ("ban", 4)])
def test_mute_and_bypass(hello, icon, mode):
    hello.click(hello.title(6))
    button(hello, icon).click()
    hello.settle()
    assert hello.graph()["nodes"]["6"]["mode"] == mode


def test_colour(hello):
    hello.click(hello.title(4))
    button(hello, "palette").click()
    hello.page.locator(".swatches button").nth(3).click()
    hello.settle()
    assert hello.page.evaluate("() => window.__test.app.active.value.graph.node(4).color")


def test_its_buttons_have_names(hello):
    hello.click(hello.title(5))
    for item in hello.page.locator(f"{BAR} button, .zoombox button").all():
        name = item.get_attribute("aria-label")
        assert name, "a button without a name"
        assert "." not in name.split()[0], f"{name} is a key, not words"


def test_zoom_buttons(hello):
    hello.page.locator('.zoombox button:has(use[href$="#plus"])').click()
    hello.settle()
    assert hello.view()["scale"] == pytest.approx(1.25)
    hello.camera(-9000, 0, 1)
    hello.page.locator('.zoombox button:has(use[href$="#maximize"])').click()
    hello.settle()
    x, y = hello.title(5)
    assert 0 < x < 1600
    assert 0 < y < 900
