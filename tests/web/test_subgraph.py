"""Subgraphs on the canvas: made, entered, wired to their ports, left."""

import pytest


@pytest.fixture
def packed(hello):
    """The sampler and the decode of txt2img as one node."""
    hello.click(hello.title(5))
    hello.click(hello.title(6), keys="Control")
    hello.key("Control+Shift+E")
    return hello


def instance(editor):
    return next(int(key) for key, node in editor.graph()["nodes"].items() if len(node["type"]) == 36)


def test_make_keeps_the_wires_from_outside(packed):
    node = instance(packed)
    links = packed.links()
    assert (1, 0, node) in {link[:3] for link in links}
    assert any(link[0] == node and link[2] == 7 for link in links)
    assert set(packed.graph()["nodes"]) == {"1", "2", "3", "4", "7", str(node)}


def test_enter_by_double_click_and_leave_by_escape(packed):
    packed.double(packed.title(instance(packed)))
    assert {node["type"] for node in packed.graph()["nodes"].values()} == {"KSampler", "VAEDecode"}
    packed.key("Escape")
    packed.key("Escape")
    assert len(packed.graph()["nodes"]) == 6


def test_a_wire_from_a_column_to_a_node(packed):
    packed.double(packed.title(instance(packed)))
    sampler = next(int(key) for key, node in packed.graph()["nodes"].items() if node["type"] == "KSampler")
    into = next(link for link in packed.graph()["links"] if link["to"] == sampler and link["from"] == -10)
    packed.drag(packed.input(sampler, into["toSlot"]), (900, 860))
    assert (-10, into["fromSlot"], sampler, into["toSlot"]) not in packed.links()
    port = packed.page.evaluate("(slot) => window.__test.counters.port('in', slot)", into["fromSlot"])
    packed.drag(tuple(port), packed.input(sampler, into["toSlot"]))
    assert (-10, into["fromSlot"], sampler, into["toSlot"]) in packed.links()


def test_unpack(packed):
    packed.click(packed.title(instance(packed)))
    packed.page.evaluate("() => window.__test.app.commands.run('unpack')")
    packed.settle()
    types = sorted(node["type"] for node in packed.graph()["nodes"].values())
    assert "KSampler" in types
    assert "VAEDecode" in types
    assert len(types) == 7
    assert len(packed.links()) == 9
