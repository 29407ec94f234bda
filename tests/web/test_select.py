"""Selecting, walking, moving."""

import pytest


def test_click_selects_one_and_empty_clears(hello):
    hello.click(hello.title(1))
    assert hello.selected() == {1}
    hello.click(hello.title(4))
    assert hello.selected() == {4}
    hello.click(hello.page_at(400, 480))
    assert hello.selected() == set()


@pytest.mark.parametrize("key", ["Control", "Shift"])
def test_ctrl_or_shift_click_adds_and_removes(hello, key):
    hello.click(hello.title(1))
    hello.click(hello.page_at(4 + 300 / 2, 420 - 15 - 120 + 15), keys=key)
    hello.click(hello.title(5), keys=key)
    assert {1, 5} <= hello.selected()
    hello.click(hello.page_at(940, -55), keys=key)
    assert 5 not in hello.selected()


def test_box_select_by_ctrl_drag(hello):
    hello.drag(hello.page_at(-20, 240), hello.page_at(330, 460), keys="Control")
    assert hello.selected() == {4}


def test_select_all(hello):
    hello.focus()
    hello.key("Control+a")
    assert hello.selected() == {1, 2, 3, 4, 5, 6, 7}


def test_tab_walks_the_nodes(hello):
    hello.focus()
    hello.key("Tab")
    first = hello.selected()
    hello.key("Tab")
    second = hello.selected()
    assert len(first) == len(second) == 1
    assert first != second
    hello.key("Shift+Tab")
    assert hello.selected() == first


def test_alt_arrows_go_to_the_linked_neighbour(hello):
    hello.click(hello.title(6))
    hello.key("Alt+ArrowRight")
    assert hello.selected() == {7}
    hello.key("Alt+ArrowLeft")
    assert hello.selected() == {6}
    hello.key("Alt+Shift+ArrowRight")
    assert hello.selected() == {6, 7}


def test_shift_click_on_a_third_of_the_title_selects_upstream_or_downstream(hello):
    box = hello.graph()["nodes"]["5"]["box"]
    hello.click(hello.page_at(box[0] + 50, box[1] + 15), keys="Shift")
    assert hello.selected() == {1, 2, 3, 4, 5}
    hello.click(hello.page_at(400, 480))
    hello.click(hello.page_at(box[2] - 30, box[1] + 15), keys="Shift")
    assert hello.selected() == {5, 6, 7}


def test_brackets_select_upstream_and_downstream(hello):
    hello.click(hello.title(5))
    hello.key("]")
    assert hello.selected() == {5, 6, 7}
    hello.click(hello.page_at(400, 480))
    hello.click(hello.title(5))
    hello.key("[")
    assert hello.selected() == {1, 2, 3, 4, 5}


def test_drag_moves_a_node_and_its_selection(hello):
    before = hello.graph()["nodes"]
    hello.click(hello.title(6))
    hello.click(hello.title(7), keys="Control")
    x, y = hello.title(7)
    hello.drag((x, y), (x + 64, y + 30))
    after = hello.graph()["nodes"]
    for node in ("6", "7"):
        assert after[node]["pos"] == pytest.approx([before[node]["pos"][0] + 64, before[node]["pos"][1] + 30], abs=1)
    assert after["5"]["pos"] == before["5"]["pos"]


def test_undo_and_redo_take_one_gesture(hello):
    before = hello.graph()["nodes"]["7"]["pos"]
    x, y = hello.title(7)
    hello.drag((x, y), (x + 64, y + 30))
    hello.key("Control+z")
    assert hello.graph()["nodes"]["7"]["pos"] == before
    hello.key("Control+Shift+Z")
    assert hello.graph()["nodes"]["7"]["pos"] != before
    hello.key("Control+z")
    hello.key("Control+y")
    assert hello.graph()["nodes"]["7"]["pos"] != before


def test_escape_gives_a_drag_up(hello):
    before = hello.graph()["nodes"]["7"]["pos"]
    x, y = hello.title(7)
    hello.page.mouse.move(x, y)
    hello.page.mouse.down()
    hello.page.mouse.move(x + 90, y + 50, steps=4)
    hello.page.keyboard.press("Escape")
    hello.page.mouse.up()
    hello.settle()
    assert hello.graph()["nodes"]["7"]["pos"] == before


@pytest.mark.parametrize(("key", "step"), [("ArrowRight", 10), ("Shift+ArrowRight", 1)])
def test_nudge(hello, key, step):
    before = hello.graph()["nodes"]["4"]["pos"]
    hello.click(hello.title(4))
    hello.key(key)
    assert hello.graph()["nodes"]["4"]["pos"] == [before[0] + step, before[1]]


def test_alt_drag_duplicates(hello):
    x, y = hello.title(4)
    hello.drag((x, y), (x + 20, y + 160), keys="Alt")
    nodes = hello.graph()["nodes"]
    assert len(nodes) == 8
    assert nodes["4"]["pos"] == [0, 300]
    assert nodes["8"]["pos"] == pytest.approx([20, 460], abs=1)
    hello.key("Control+z")
    assert len(hello.graph()["nodes"]) == 7


def test_duplicate_with_a_key(hello):
    hello.click(hello.title(4))
    hello.key("Control+d")
    assert len(hello.graph()["nodes"]) == 8


def test_resize_by_the_corner(hello):
    box = hello.graph()["nodes"]["2"]["box"]
    corner = hello.page_at(box[2] - 4, box[3] - 4)
    hello.drag(corner, (corner[0] + 50, corner[1] + 30))
    assert hello.graph()["nodes"]["2"]["size"] == pytest.approx([410, 170], abs=1)


def test_resize_keeps_the_least_size(hello):
    box = hello.graph()["nodes"]["5"]["box"]
    corner = hello.page_at(box[2] - 4, box[3] - 4)
    hello.drag(corner, (corner[0] - 400, corner[1] - 400))
    width, height = hello.graph()["nodes"]["5"]["size"]
    assert width >= 140
    assert height > 200


def test_collapse_by_double_click_on_the_mark_and_by_key(hello):
    box = hello.graph()["nodes"]["5"]["box"]
    mark = hello.page_at(box[0] + 14, box[1] + 15)
    hello.double(mark)
    assert hello.graph()["nodes"]["5"]["flags"].get("collapsed")
    hello.click(hello.page_at(box[0] + 60, box[1] + 15))
    hello.key("Alt+c")
    assert not hello.graph()["nodes"]["5"]["flags"].get("collapsed")


def test_pinned_nodes_stay(hello):
    hello.click(hello.title(4))
    hello.key("p")
    assert hello.graph()["nodes"]["4"]["flags"].get("pinned")
    x, y = hello.title(4)
    hello.drag((x, y), (x + 100, y))
    assert hello.graph()["nodes"]["4"]["pos"] == [0, 300]


def test_mute_and_bypass(hello):
    hello.click(hello.title(6))
    hello.key("Control+m")
    assert hello.graph()["nodes"]["6"]["mode"] == 2
    hello.key("Control+b")
    assert hello.graph()["nodes"]["6"]["mode"] == 4


def test_a_group_moves_what_is_in_it(hello):
    hello.click(hello.title(6))
    hello.click(hello.title(7), keys="Control")
    hello.key("Control+g")
    hello.page.wait_for_selector("dialog[open]")
    hello.page.keyboard.type("Pictures")
    hello.key("Enter")
    assert hello.graph()["groups"][0]["title"] == "Pictures"
    group = hello.graph()["groups"][0]
    x, y = hello.page_at(group["box"][0] + 60, group["box"][1] + 14)
    before = hello.graph()["nodes"]
    hello.click(hello.page_at(400, 480))
    hello.drag((x, y), (x + 40, y + 60))
    after = hello.graph()
    assert after["groups"][0]["box"][:2] == pytest.approx([group["box"][0] + 40, group["box"][1] + 60], abs=1)
    assert after["nodes"]["7"]["pos"] == pytest.approx([before["7"]["pos"][0] + 40, before["7"]["pos"][1] + 60], abs=1)
    assert after["nodes"]["4"]["pos"] == before["4"]["pos"]


def test_the_view_moves_on_while_a_node_is_dragged_at_the_edge(hello):
    x, y = hello.title(4)
    before = hello.view()
    box = hello.page.locator("#canvas").bounding_box()
    hello.page.mouse.move(x, y)
    hello.page.mouse.down()
    hello.page.mouse.move(box["x"] + 6, y, steps=6)
    hello.until("(x) => window.__test.counters.camera.x > x + 60", before["x"])
    hello.page.mouse.up()
    hello.settle()
    assert hello.graph()["nodes"]["4"]["pos"][0] < -100


def test_box_select_by_drag_in_select_mode(hello):
    hello.focus()
    hello.key("v")
    view = hello.view()
    hello.drag(hello.page_at(-20, 240), hello.page_at(330, 460))
    assert hello.selected() == {4}
    assert hello.view() == view
    hello.click(hello.page_at(400, 480))
    assert hello.selected() == set(), "a click on empty canvas clears, as in the other mode"
    hello.key("h")
    hello.drag(hello.page_at(400, 480), hello.page_at(460, 500))
    assert hello.view() != view


def grouped(hello) -> dict:
    """Nodes 6 and 7 in a group; its entry."""
    hello.click(hello.title(6))
    hello.click(hello.title(7), keys="Control")
    hello.key("Control+g")
    hello.page.wait_for_selector("dialog[open]")
    hello.key("Enter")
    hello.click(hello.page_at(400, 480))
    return hello.graph()["groups"][0]


def test_ungroup_leaves_the_nodes(hello):
    x, y = grouped(hello)["box"][:2]
    hello.click(hello.page_at(x + 60, y + 14))
    hello.key("Control+Shift+G")
    assert hello.graph()["groups"] == []
    assert len(hello.graph()["nodes"]) == 7


def test_a_frame_follows_its_nodes_and_lets_go_of_one_that_leaves(hello):
    before = grouped(hello)["box"]
    x, y = hello.title(7)
    hello.drag((x, y), (x + 100, y + 60))
    x0, y0, w, h = hello.graph()["groups"][0]["box"]
    assert (x0, y0) == tuple(before[:2])
    node = hello.graph()["nodes"]["7"]["box"]
    assert x0 + w == pytest.approx(node[2] + 10, abs=1)
    assert y0 + h == pytest.approx(max(before[1] + before[3], node[3] + 10), abs=1)
    hello.key("Control+z")
    assert hello.graph()["groups"][0]["box"] == before, "one gesture, one step back"
    hello.camera(-700, 300, 0.6)
    x, y = hello.title(6)
    hello.drag((x, y), (x, y + 480))
    assert hello.graph()["groups"][0]["box"] == before, "a node that has left does not drag its frame along"
