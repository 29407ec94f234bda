"""Subgraphs on the canvas: made, entered, wired to their ports, nested, promoted, left, taken apart."""

import pytest

from .scenes import STEPS


@pytest.fixture
def packed(hello):
    """The sampler and the decode of txt2img as one node."""
    hello.click(hello.title(5))
    hello.click(hello.title(6), keys="Control")
    hello.key("Control+Shift+E")
    return hello


def instance(editor):
    return next(int(key) for key, node in editor.graph()["nodes"].items() if len(node["type"]) == 36)


def inner(editor, kind="KSampler"):
    return next(int(key) for key, node in editor.graph()["nodes"].items() if node["type"] == kind)


def types(editor):
    return sorted(node["type"] for node in editor.graph()["nodes"].values())


def test_make_keeps_the_wires_from_outside(packed):
    node = instance(packed)
    links = packed.links()
    assert (1, 0, node) in {link[:3] for link in links}
    assert any(link[0] == node and link[2] == 7 for link in links)
    assert set(packed.graph()["nodes"]) == {"1", "2", "3", "4", "7", str(node)}


def test_enter_by_double_click_and_leave_by_escape(packed):
    packed.double(packed.title(instance(packed)))
    assert types(packed) == ["KSampler", "VAEDecode"]
    packed.key("Escape")
    packed.key("Escape")
    assert len(packed.graph()["nodes"]) == 6


def test_enter_with_a_key_and_leave_by_the_path_above(packed):
    packed.click(packed.title(instance(packed)))
    packed.key("Enter")
    assert types(packed) == ["KSampler", "VAEDecode"]
    packed.page.locator(".crumbs button").first.click()
    packed.settle()
    assert len(packed.graph()["nodes"]) == 6


def test_a_wire_from_a_column_to_a_node(packed):
    packed.double(packed.title(instance(packed)))
    sampler = inner(packed)
    into = next(link for link in packed.graph()["links"] if link["to"] == sampler and link["from"] == -10)
    packed.drag(packed.input(sampler, into["toSlot"]), (900, 860))
    assert (-10, into["fromSlot"], sampler, into["toSlot"]) not in packed.links()
    port = packed.page.evaluate("(slot) => window.__test.counters.port('in', slot)", into["fromSlot"])
    packed.drag(tuple(port), packed.input(sampler, into["toSlot"]))
    assert (-10, into["fromSlot"], sampler, into["toSlot"]) in packed.links()


def test_unpack_from_the_menu(packed):
    packed.menu(packed.title(instance(packed)), "Unpack")
    assert "KSampler" in types(packed)
    assert "VAEDecode" in types(packed)
    assert len(types(packed)) == 7
    assert len(packed.links()) == 9


def test_a_promoted_widget_has_a_value_of_its_own_on_each_instance(packed):
    packed.double(packed.title(instance(packed)))
    packed.menu(packed.widget(inner(packed), "steps"), "Show on the subgraph")
    packed.key("Escape")
    packed.key("Escape")
    first = instance(packed)
    packed.click(packed.title(first))
    packed.key("Control+d")
    second = max(int(key) for key in packed.graph()["nodes"])
    x, y = packed.title(second)
    packed.drag((x, y), (x, y + 300))
    packed.click(packed.widget(second, "steps"))
    packed.page.keyboard.type("11")
    packed.key("Enter")
    assert (packed.value(first, "steps"), packed.value(second, "steps")) == (STEPS, 11)
    packed.double(packed.title(second))
    assert packed.value(inner(packed), "steps") == STEPS, "the value inside stays what it was"


def test_nested_subgraphs_are_made_entered_and_taken_apart(packed):
    packed.click(packed.title(instance(packed)))
    packed.click(packed.title(7), keys="Control")
    packed.key("Control+Shift+E")
    assert len(packed.graph()["nodes"]) == 5
    packed.double(packed.title(instance(packed)))
    packed.double(packed.title(instance(packed)))
    assert types(packed) == ["KSampler", "VAEDecode"]
    assert packed.page.locator(".crumbs button").count() == 3
    packed.page.locator(".crumbs button").first.click()
    packed.settle()
    packed.menu(packed.title(instance(packed)), "Unpack")
    packed.menu(packed.title(instance(packed)), "Unpack")
    assert len(packed.graph()["nodes"]) == 7
    assert len(packed.links()) == 9
    for _ in range(4):
        packed.key("Control+z")
    assert set(packed.graph()["nodes"]) == {"1", "2", "3", "4", "5", "6", "7"}
