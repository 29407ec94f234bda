"""The buttons above a selection, and the box in the corner."""

import pytest

from .test_keys import wait_for

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


@pytest.mark.parametrize(
    ("icon", "effect"),
    [
        ("chevron-up", lambda graph: graph["nodes"]["6"]["flags"].get("collapsed")),
        ("pin", lambda graph: graph["nodes"]["6"]["flags"].get("pinned")),
        ("copy", lambda graph: len(graph["nodes"]) == 8),
        ("trash-2", lambda graph: "6" not in graph["nodes"]),
        ("package", lambda graph: any(len(node["type"]) == 36 for node in graph["nodes"].values())),
    ],
)
def test_collapse_pin_duplicate_delete_and_subgraph(hello, icon, effect):
    hello.click(hello.title(6))
    button(hello, icon).click()
    hello.settle()
    assert effect(hello.graph())


def test_group_button_asks_for_a_name(hello):
    hello.click(hello.title(6))
    button(hello, "group").click()
    hello.page.wait_for_selector("dialog[open]")
    hello.page.keyboard.type("One")
    hello.key("Enter")
    assert [group["title"] for group in hello.graph()["groups"]] == ["One"]


def test_tidy_button_lays_the_selection_out(hello):
    hello.click(hello.title(6))
    hello.click(hello.title(7), keys="Control")
    x, y = hello.title(7)
    hello.drag((x, y), (x - 150, y + 200))
    before = hello.graph()["nodes"]
    button(hello, "wand-sparkles").click()
    hello.until("(before) => window.__test.counters.graph().nodes[7].pos.join() !== before.join()", before["7"]["pos"])
    after = hello.graph()["nodes"]
    assert after["6"]["box"][2] < after["7"]["box"][0]
    assert after["1"]["pos"] == before["1"]["pos"], "the others stay"


def test_run_to_this_node_button(hello):
    bodies = []
    hello.page.on(
        "request", lambda one: one.url.endswith("/prompt") and one.method == "POST" and bodies.append(one.post_data_json)
    )
    hello.click(hello.title(7))
    button(hello, "play").click()
    wait_for(hello, lambda: bodies)
    assert bodies[0]["partial_execution_targets"] == ["7"]
