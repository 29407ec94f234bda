"""Fingers: real touch events through the browser's protocol."""

import pytest

from .scenes import STEPS


def test_one_finger_pans(touch):
    before = touch.view()
    x, y = touch.page_at(400, 480)
    touch.fingers.drag([(x, y)], [(x + 90, y - 40)])
    touch.settle()
    after = touch.view()
    assert ((after["x"] - before["x"]) * 0.8, (after["y"] - before["y"]) * 0.8) == pytest.approx((90, -40), abs=2)


def test_two_fingers_pan_and_pinch(touch):
    before = touch.view()["scale"]
    x, y = touch.page_at(400, 300)
    touch.fingers.drag([(x - 50, y), (x + 50, y)], [(x - 110, y), (x + 110, y)])
    touch.settle()
    assert touch.view()["scale"] == pytest.approx(before * 2.2, rel=0.2)


def test_two_fingers_over_a_node_change_no_value_and_move_nothing(touch):
    before = touch.graph()
    x, y = touch.widget(5, "steps")
    touch.fingers.drag([(x, y), (x + 60, y)], [(x + 80, y + 30), (x + 160, y + 30)])
    touch.settle()
    after = touch.graph()
    assert after["nodes"] == before["nodes"]


def test_a_finger_on_a_number_of_a_node_not_selected_moves_the_node(touch):
    x, y = touch.widget(5, "steps")
    touch.fingers.drag([(x, y)], [(x + 60, y)])
    touch.settle()
    assert touch.value(5, "steps") == STEPS
    assert touch.graph()["nodes"]["5"]["pos"][0] == pytest.approx(790 + 60 / 0.8, abs=12)


def test_tap_selects(touch):
    touch.fingers.tap(touch.title(4))
    touch.settle()
    assert touch.selected() == {4}


def test_tap_in_several_mode_adds_to_the_selection(touch):
    several = touch.page.locator('.zoombox button:has(use[href$="#square-mouse-pointer"])')
    several.tap()
    try:
        touch.fingers.tap(touch.title(1))
        touch.settle()
        touch.page.wait_for_timeout(400)
        touch.fingers.tap(touch.title(4))
        touch.settle()
        assert touch.selected() == {1, 4}
        touch.fingers.tap(touch.title(1))
        touch.settle()
        assert touch.selected() == {4}
    finally:
        several.tap()


def test_tap_one_socket_then_another(touch):
    touch.fingers.drag([touch.input(5, 1)], [touch.page_at(720, 600)])
    touch.settle()
    assert (2, 0, 5, 1) not in touch.links()
    touch.fingers.tap(touch.output(2))
    touch.settle()
    assert touch.count("wiring")
    touch.fingers.tap(touch.input(5, 1))
    touch.settle()
    assert (2, 0, 5, 1) in touch.links()


def test_long_press_then_drag_selects_a_box(touch):
    start, end = touch.page_at(-20, 240), touch.page_at(330, 460)
    touch.fingers.drag([start], [end], held=True)
    touch.settle()
    assert touch.selected() == {4}


def test_long_press_opens_the_menu(touch):
    at = touch.title(4)
    touch.fingers.send("touchStart", [at])
    touch.fingers.hold()
    touch.fingers.send("touchEnd", [])
    touch.page.wait_for_selector("[role=menu]:visible")


def test_double_tap_on_empty_opens_the_palette(touch):
    at = touch.page_at(760, 640)
    touch.fingers.tap(at)
    touch.fingers.tap(at)
    touch.page.wait_for_selector(".palette, [role=dialog]:visible")


def test_double_tap_on_a_wire_makes_a_reroute(touch):
    link = next(link["id"] for link in touch.graph()["links"] if (link["from"], link["to"]) == (1, 2))
    at = touch.wire(link)
    touch.fingers.tap(at)
    touch.fingers.tap(at)
    touch.settle()
    assert len(touch.graph()["reroutes"]) == 1


def test_two_finger_tap_undoes_and_three_redoes(touch):
    before = touch.graph()["nodes"]["4"]["pos"]
    x, y = touch.title(4)
    touch.fingers.tap((x, y))
    touch.fingers.drag([(x, y)], [(x + 80, y + 40)])
    touch.settle()
    moved = touch.graph()["nodes"]["4"]["pos"]
    assert moved != before
    touch.fingers.tap((300, 300), (360, 320))
    touch.until("(pos) => window.__test.counters.graph().nodes[4].pos.join() === pos.join()", before)
    touch.fingers.tap((300, 300), (360, 320), (420, 340))
    touch.until("(pos) => window.__test.counters.graph().nodes[4].pos.join() === pos.join()", moved)


def test_two_taps_of_two_fingers_fit_all(touch):
    touch.camera(-4000, -3000, 1.5)
    for _ in range(2):
        touch.fingers.tap((300, 300), (360, 320))
    touch.until("() => window.__test.counters.camera.scale < 1.4")
    touch.settle()
    x, y = touch.title(5)
    assert 0 < x < 1200
    assert 0 < y < 800


def test_a_finger_on_a_number_of_a_selected_node_changes_it(touch):
    touch.fingers.tap(touch.title(5))
    touch.settle()
    x, y = touch.widget(5, "steps")
    touch.fingers.drag([(x, y)], [(x + 64, y)])
    touch.settle()
    assert touch.value(5, "steps") > STEPS


def test_a_wire_dropped_on_empty_by_a_finger_opens_the_palette(touch):
    touch.fingers.drag([touch.output(4)], [touch.page_at(620, 700)])
    touch.page.locator(".palette").wait_for()
    touch.page.keyboard.type("vae decode")
    touch.key("Enter")
    assert any(link[0] == 4 and link[2] == 8 for link in touch.links())


def test_a_finger_drags_a_wire_from_a_socket_to_a_socket(touch):
    touch.fingers.drag([touch.input(5, 1)], [touch.page_at(720, 600)])
    touch.settle()
    touch.fingers.drag([touch.output(2)], [touch.input(5, 1)])
    touch.settle()
    assert (2, 0, 5, 1) in touch.links()


def test_a_picture_held_by_a_finger_is_compared_and_opens_no_menu(touch):
    from .test_panels import QUICK, run
    from .test_pictures import COLOUR, picture

    touch.open(QUICK, scale=0.8)
    for colour in (255, 65280):
        touch.page.evaluate(COLOUR, colour)
        touch.focus()
        run(touch)
    touch.until("() => window.__test.counters.bitmaps.count > 0")
    touch.settle()
    touch.fingers.send("touchStart", [picture(touch)])
    touch.page.locator(".compare").wait_for()
    touch.fingers.send("touchEnd", [])
    touch.settle()
    assert not touch.page.locator("[role=menu]:visible").count()
    touch.page.keyboard.press("Escape")
