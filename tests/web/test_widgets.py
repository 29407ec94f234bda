"""Widgets: drawn on the canvas, edited in place."""

import re

import pytest

from .scenes import STEPS


@pytest.fixture
def sampler(hello):
    """The txt2img graph with its sampler in the middle."""
    hello.camera(-500, 200, 1)
    return hello


def drag(editor, name, dx, keys=""):
    x, y = editor.widget(5, name)
    editor.drag((x, y), (x + dx, y), keys=keys)


def test_number_drag(sampler):
    drag(sampler, "steps", 40)
    assert sampler.value(5, "steps") == STEPS + 10
    sampler.key("Control+z")
    assert sampler.value(5, "steps") == STEPS, "one gesture is one step back"


def test_number_drag_fine_and_coarse(sampler):
    drag(sampler, "cfg", 40)
    plain = sampler.value(5, "cfg") - 4
    sampler.key("Control+z")
    drag(sampler, "cfg", 40, keys="Shift")
    fine = sampler.value(5, "cfg") - 4
    assert plain == pytest.approx(1.0, abs=0.11)
    assert fine == pytest.approx(0.1, abs=0.02)


def test_number_click_takes_a_sum(sampler):
    sampler.click(sampler.widget(5, "steps"))
    sampler.page.keyboard.type("5*4+2")
    sampler.key("Enter")
    assert sampler.value(5, "steps") == 22


def test_number_up_and_down_while_it_is_edited(sampler):
    sampler.click(sampler.widget(5, "steps"))
    sampler.key("ArrowUp")
    sampler.key("ArrowUp")
    sampler.key("Enter")
    assert sampler.value(5, "steps") == STEPS + 2


def test_a_wrong_sum_and_escape_change_nothing(sampler):
    sampler.click(sampler.widget(5, "steps"))
    sampler.page.keyboard.type("five")
    sampler.key("Enter")
    assert sampler.value(5, "steps") == STEPS
    sampler.click(sampler.widget(5, "steps"))
    sampler.page.keyboard.type("9")
    sampler.key("Escape")
    assert sampler.value(5, "steps") == STEPS


def test_number_limits(sampler):
    sampler.click(sampler.widget(5, "denoise"))
    sampler.page.keyboard.type("7")
    sampler.key("Enter")
    assert sampler.value(5, "denoise") == 1


def test_tab_goes_on_to_the_next_widget(sampler):
    sampler.click(sampler.widget(5, "steps"))
    sampler.page.keyboard.type("9")
    sampler.page.keyboard.press("Tab")
    sampler.page.keyboard.type("2.5")
    sampler.key("Enter")
    assert (sampler.value(5, "steps"), sampler.value(5, "cfg")) == (9, 2.5)


def test_combo_lists_filters_and_picks(sampler):
    sampler.click(sampler.widget(5, "sampler_name"))
    page = sampler.page
    page.wait_for_selector(".widget-list")
    page.keyboard.type("dpmpp 2m")
    shown = page.locator(".widget-list [role=option]").all_inner_texts()
    assert shown
    assert all("dpmpp" in name and "2m" in name for name in shown)
    sampler.key("Enter")
    assert sampler.value(5, "sampler_name") == shown[0]
    assert page.locator(".widget-list").count() == 0


def test_a_long_list_scrolls_under_the_wheel(sampler):
    sampler.click(sampler.widget(5, "sampler_name"))
    box = sampler.page.locator(".widget-list [role=listbox]")
    view = sampler.view()
    sampler.page.mouse.move(*[sum(pair) for pair in zip(sampler.widget(5, "sampler_name"), (0, 150), strict=True)])
    sampler.page.mouse.wheel(0, 200)
    sampler.until("() => document.querySelector('.widget-list [role=listbox]').scrollTop > 50")
    assert sampler.view() == view, "the canvas stays"
    assert box.count() == 1
    sampler.key("Escape")


def test_combo_closes_on_escape_and_outside(sampler):
    for close in ("Escape", None):
        sampler.click(sampler.widget(5, "sampler_name"))
        sampler.page.wait_for_selector(".widget-list")
        if close:
            sampler.key(close)
        else:
            sampler.click((1100, 850))
        assert sampler.page.locator(".widget-list").count() == 0
    assert sampler.value(5, "sampler_name") == "euler"


def test_multiline_text_is_edited_in_place(hello):
    at = hello.widget(2, "text")
    hello.click(at)
    area = hello.page.locator("textarea.widget-input")
    assert area.input_value() == "a red circle on a blue square"
    box = area.bounding_box()
    assert abs(box["x"] + box["width"] / 2 - at[0]) < 8, "it lies over the widget"
    hello.page.keyboard.press("Control+a")
    hello.page.keyboard.type("a green circle")
    hello.click(hello.page_at(400, 480))
    assert hello.value(2, "text") == "a green circle"
    hello.key("Control+z")
    assert hello.value(2, "text") == "a red circle on a blue square"


def test_weights_in_a_prompt(hello):
    hello.click(hello.widget(2, "text"))
    hello.page.keyboard.press("Control+Home")
    hello.page.keyboard.press("ArrowRight")
    hello.page.keyboard.press("ArrowRight")
    hello.page.keyboard.press("Control+ArrowUp")
    hello.key("Control+Enter")
    assert re.fullmatch(r"a \(red:1\.\d+\) circle on a blue square", hello.value(2, "text"))


def test_the_editor_follows_the_camera(hello):
    hello.click(hello.widget(2, "text"))
    before = hello.page.locator("textarea.widget-input").bounding_box()
    view = hello.view()
    hello.camera(view["x"] + 50, view["y"] + 20, 1)
    after = hello.page.locator("textarea.widget-input").bounding_box()
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((50, 20), abs=1)


def test_one_line_text(hello):
    hello.camera(-700, 200, 1)
    hello.click(hello.widget(7, "filename_prefix"))
    hello.page.keyboard.type("boats/morning")
    hello.key("Enter")
    assert hello.value(7, "filename_prefix") == "boats/morning"


def test_seed_control_buttons(sampler):
    x, y = sampler.widget(5, "control_after_generate")
    right = x + 140
    for i, mode in enumerate(["fixed", "randomize", "increment", "decrement"]):
        sampler.click((right - 26 * 5 + 26 * (i + 0.5), y))
        assert sampler.value(5, "control_after_generate") == mode


def test_a_linked_widget_is_not_edited(editor):
    from .scenes import apart

    graph = apart("EmptyLatentImage", "KSampler")
    graph["nodes"].append(
        {
            "id": 3,
            "type": "PrimitiveInt",
            "pos": [0, 240],
            "size": [240, 82],
            "flags": {},
            "order": 2,
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "INT", "type": "INT", "links": []}],
            "properties": {},
            "widgets_values": [77, "fixed"],
        }
    )
    graph["last_node_id"] = 3
    editor.open(graph)
    editor.drag(editor.output(3), editor.widget(2, "steps"))
    link = editor.graph()["links"][0]
    assert (link["from"], link["to"]) == (3, 2)
    editor.click(editor.widget(2, "steps"))
    assert editor.page.locator(".widget-input").count() == 0


def test_upload_button_sends_a_picture(editor, tmp_path):
    from .scenes import apart

    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    editor.open(apart("LoadImage"))
    with editor.page.expect_file_chooser() as chosen:
        editor.click(editor.widget(1, "upload"))
    chosen.value.set_files(str(picture))
    editor.until("() => window.__test.counters.graph().nodes[1].values.image === 'dot.png'")


def _png() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\xff\x40\x20" * 8 for _ in range(8))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


PNG = _png()


def test_number_drag_coarse_with_ctrl(sampler):
    drag(sampler, "cfg", 40, keys="Control")
    assert sampler.value(5, "cfg") == pytest.approx(14, abs=1.1)


def test_the_last_seed_is_brought_back(hello):
    from .test_run import wait_for_end

    hello.camera(-500, 200, 1)
    x, y = hello.widget(5, "control_after_generate")
    right = x + 140
    hello.click((right - 26 * 5 + 26 * 1.5, y))  # random
    hello.focus()
    hello.key("Control+Enter")
    wait_for_end(hello)
    hello.until("() => window.__test.counters.graph().nodes[5].values.seed !== 1")
    sent = hello.page.evaluate("() => window.__test.app.active.value.run.sent('5').seed")
    assert hello.value(5, "seed") != sent, "a new seed waits for the next run"
    hello.click((right - 26 * 0.5, y))  # recall
    assert hello.value(5, "seed") == sent


def test_ctrl_click_on_a_number_adds_its_node_to_the_selection(sampler):
    sampler.click(sampler.title(6))
    sampler.click(sampler.widget(5, "cfg"), keys="Control")
    assert sampler.selected() == {5, 6}
    assert not sampler.page.locator(".widget-input").count()
