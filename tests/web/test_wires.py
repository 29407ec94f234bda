"""Wiring: every way to make, move, bend and cut a wire."""

import pytest

from .scenes import STEPS, Sheet, apart

PALETTE = "[role=dialog]:visible, [role=listbox]:visible"


@pytest.fixture
def loose(editor):
    """A loader, a latent, a sampler and a decode side by side, without wires."""
    return editor.open(apart("CheckpointLoaderSimple", "EmptyLatentImage", "KSampler", "VAEDecode"), scale=0.9)


def test_drag_from_a_socket_to_a_socket(loose):
    loose.drag(loose.output(1, 0), loose.input(3, 0))
    assert loose.links() == {(1, 0, 3, 0)}


def test_drag_backwards_from_an_input_to_an_output(loose):
    loose.drag(loose.input(3, 3), loose.output(2, 0))
    assert loose.links() == {(2, 0, 3, 3)}


def test_click_one_socket_then_another(loose):
    loose.click(loose.output(1, 0))
    assert loose.count("wiring")
    loose.page.mouse.move(900, 600)
    loose.click(loose.input(3, 0))
    assert loose.links() == {(1, 0, 3, 0)}
    assert not loose.count("wiring")


def test_escape_gives_a_wire_up(loose):
    loose.click(loose.output(1, 0))
    loose.page.mouse.move(900, 600)
    loose.key("Escape")
    assert not loose.count("wiring")
    assert loose.links() == set()


def test_drop_on_a_body_shows_and_takes_the_best_free_socket(loose):
    loose.page.mouse.move(*loose.output(2, 0))
    loose.page.mouse.down()
    loose.page.mouse.move(*loose.title(3), steps=6)
    loose.settle()
    assert loose.count("tip") == "latent_image", "where it would go, before it is let go"
    loose.page.mouse.up()
    loose.settle()
    assert loose.links() == {(2, 0, 3, 3)}


def test_shift_enter_wires_one_node_and_stays_for_the_next(loose):
    loose.drag(loose.output(2, 0), loose.page_at(700, 420))
    loose.page.locator(".palette").wait_for()
    for words, key in (("vae decode", "Shift+Enter"), ("latent upscale by", "Enter")):
        loose.page.get_by_role("combobox").fill(words)
        loose.page.keyboard.press(key)
    loose.settle()
    made = {node["type"]: int(key) for key, node in loose.graph()["nodes"].items() if int(key) > 4}
    assert set(made) == {"VAEDecode", "LatentUpscaleBy"}
    assert {(2, 0, node, 0) for node in made.values()} <= loose.links()


def test_a_wire_made_with_the_keyboard_alone(loose):
    """In the outline: Tab to an input, Down until what should feed it, Enter."""
    loose.click(loose.title(3))
    loose.key("o")
    field = loose.page.get_by_role("combobox", name="model")
    field.wait_for()
    loose.until("() => Boolean(document.activeElement.closest('.panel'))")
    for _ in range(60):
        if field.evaluate("(one) => one === document.activeElement"):
            break
        loose.page.keyboard.press("Tab")
    loose.page.keyboard.press("ArrowDown")
    loose.page.keyboard.press("Enter")
    loose.settle()
    assert loose.links() == {(1, 0, 3, 0)}
    loose.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")


def test_a_socket_of_another_type_takes_no_wire(loose):
    loose.drag(loose.output(1, 0), loose.input(4, 1))
    assert loose.links() == set()


def test_a_wire_into_a_widget(editor):
    editor.open(apart("CheckpointLoaderSimple", "EmptyLatentImage", "KSampler"), scale=0.9)
    before = len(editor.graph()["links"])
    editor.drag(editor.output(1, 0), editor.widget(3, "steps"))
    assert editor.links() == {(1, 0, 3, 0)}, "a model does not fit a number: it goes to the node's own input"
    assert len(editor.graph()["links"]) == before + 1


def test_drop_on_empty_opens_the_palette_and_wires_the_node_picked(loose):
    loose.drag(loose.output(2, 0), loose.page_at(700, 420))
    loose.page.wait_for_selector(PALETTE)
    loose.page.keyboard.type("vae dec")
    loose.settle()
    loose.key("Enter")
    nodes = loose.graph()["nodes"]
    assert len(nodes) == 5
    assert nodes["5"]["type"].startswith("VAEDecode")
    assert (2, 0, 5, 0) in loose.links()
    assert nodes["5"]["pos"] == pytest.approx([720, 406], abs=40)


def test_pick_a_link_up_and_put_it_elsewhere(hello):
    hello.drag(hello.input(5, 1), hello.input(5, 2))
    links = hello.links()
    assert (2, 0, 5, 2) in links
    assert (2, 0, 5, 1) not in links


def test_pick_a_link_up_and_let_it_go(hello):
    hello.drag(hello.input(5, 1), hello.page_at(720, 330))
    assert (2, 0, 5, 1) not in hello.links()
    hello.key("Control+z")
    assert (2, 0, 5, 1) in hello.links()


def test_a_click_on_a_connected_input_cuts_nothing(hello):
    before = hello.links()
    hello.click(hello.input(5, 1))
    assert hello.links() == before
    assert not hello.count("wiring")


def test_shift_drag_moves_all_links_of_an_output(editor):
    graph = apart("EmptyLatentImage", "EmptyLatentImage", "KSampler", "VAEDecode")
    editor.open(graph, scale=0.8)
    editor.drag(editor.output(1), editor.input(3, 3))
    editor.drag(editor.output(1), editor.input(4, 0))
    editor.drag(editor.output(1), editor.output(2), keys="Shift")
    assert editor.links() == {(2, 0, 3, 3), (2, 0, 4, 0)}


def test_shift_drag_on_a_wire_branches_it(loose):
    loose.drag(loose.output(2), loose.input(3, 3))
    link = loose.graph()["links"][0]["id"]
    loose.drag(loose.wire(link), loose.input(4, 0), keys="Shift")
    assert loose.links() == {(2, 0, 3, 3), (2, 0, 4, 0)}


def test_alt_click_on_a_wire_makes_a_reroute(loose):
    loose.drag(loose.output(2), loose.input(3, 3))
    link = loose.graph()["links"][0]["id"]
    loose.click(loose.wire(link), keys="Alt")
    graph = loose.graph()
    assert len(graph["reroutes"]) == 1
    assert graph["links"][0]["parent"] == graph["reroutes"][0]["id"]


def test_a_reroute_moves_and_leaves(loose):
    loose.drag(loose.output(2), loose.input(3, 3))
    loose.click(loose.wire(loose.graph()["links"][0]["id"]), keys="Alt")
    before = loose.graph()["reroutes"][0]["pos"]
    x, y = loose.page_at(*before)
    loose.drag((x, y), (x, y + 90))
    after = loose.graph()["reroutes"][0]["pos"]
    assert after == pytest.approx([before[0], before[1] + 100], abs=2)
    loose.click(loose.page_at(*after), keys="Alt")
    assert loose.graph()["reroutes"] == []
    assert loose.links() == {(2, 0, 3, 3)}


def test_double_click_on_a_wire_makes_a_reroute(loose):
    loose.drag(loose.output(2), loose.input(3, 3))
    loose.double(loose.wire(loose.graph()["links"][0]["id"]))
    assert len(loose.graph()["reroutes"]) == 1


def test_alt_drag_across_empty_cuts_wires(hello):
    cut = hello.page_at(745, -70), hello.page_at(745, 250)
    before = len(hello.links())
    hello.drag(*cut, keys="Alt", steps=12)
    links = hello.links()
    assert (2, 0, 5, 1) not in links
    assert len(links) < before
    hello.key("Control+z")
    assert len(hello.links()) == before, "one gesture, one step back"


def test_drop_a_node_on_a_wire_inserts_it(editor):
    graph = apart("VAEDecode", "PreviewImage", "ImageInvert")
    editor.open(graph, scale=0.9, offset=(60, 300))
    editor.drag(editor.output(1), editor.input(2))
    x, y = editor.title(3)
    wire = editor.wire(editor.graph()["links"][0]["id"])
    editor.drag((x, y), (wire[0] + 20, wire[1] - 8), steps=16)
    assert editor.links() == {(1, 0, 3, 0), (3, 0, 2, 0)}


def test_alt_suspends_the_insert(editor):
    editor.open(apart("VAEDecode", "PreviewImage", "ImageInvert"), scale=0.9, offset=(60, 300))
    editor.drag(editor.output(1), editor.input(2))
    x, y = editor.title(3)
    wire = editor.wire(editor.graph()["links"][0]["id"])
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    editor.page.mouse.move(wire[0] + 20, wire[1] - 30, steps=6)
    editor.page.keyboard.down("Alt")
    editor.page.mouse.move(wire[0] + 20, wire[1] - 8, steps=6)
    editor.page.mouse.up()
    editor.page.keyboard.up("Alt")
    editor.settle()
    assert editor.links() == {(1, 0, 2, 0)}


def test_shaking_a_node_takes_it_out_and_heals_the_wire(editor):
    editor.open(apart("VAEDecode", "ImageInvert", "PreviewImage"), scale=0.9, offset=(60, 300))
    editor.drag(editor.output(1), editor.input(2))
    editor.drag(editor.output(2), editor.input(3))
    x, y = editor.title(2)
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    for i in range(1, 17):
        editor.page.mouse.move(x + (40 if i % 2 else -40), y + 2)
    editor.page.mouse.up()
    editor.settle()
    assert editor.links() == {(1, 0, 3, 0)}


def test_shift_x_takes_nodes_out_of_their_wires(editor):
    editor.open(apart("VAEDecode", "ImageInvert", "PreviewImage"), scale=0.9)
    editor.drag(editor.output(1), editor.input(2))
    editor.drag(editor.output(2), editor.input(3))
    editor.click(editor.title(2))
    editor.key("Shift+X")
    assert editor.links() == {(1, 0, 3, 0)}


def test_ctrl_delete_heals(editor):
    editor.open(apart("VAEDecode", "ImageInvert", "PreviewImage"), scale=0.9)
    editor.drag(editor.output(1), editor.input(2))
    editor.drag(editor.output(2), editor.input(3))
    editor.click(editor.title(2))
    editor.key("Control+Delete")
    assert editor.links() == {(1, 0, 3, 0)}
    assert set(editor.graph()["nodes"]) == {"1", "3"}


def test_ctrl_alt_click_breaks_the_links_of_a_socket(hello):
    hello.click(hello.output(1, 1), keys="Control+Alt")
    links = hello.links()
    assert not any(link[:2] == (1, 1) for link in links)
    assert (1, 0, 5, 0) in links


def test_quick_connect_by_alt_right_drag(loose):
    loose.drag(loose.title(1), loose.title(3), keys="Alt", button="right")
    assert loose.links() == {(1, 0, 3, 0)}


def test_quick_connect_the_selection_with_f(loose):
    loose.click(loose.title(2))
    loose.click(loose.title(3), keys="Control")
    loose.click(loose.title(4), keys="Control")
    loose.key("f")
    assert loose.links() == {(2, 0, 3, 3), (3, 0, 4, 0)}


def test_swap_a_node_keeps_its_links(hello):
    hello.click(hello.title(6))
    hello.key("Shift+R")
    hello.page.wait_for_selector(PALETTE)
    hello.page.keyboard.type("vae decode tiled")
    hello.settle()
    hello.key("Enter")
    nodes = hello.graph()["nodes"]
    swapped = next((int(key) for key, node in nodes.items() if node["type"] == "VAEDecodeTiled"), None)
    assert swapped is not None
    assert "6" not in nodes
    assert {(5, 0, swapped, 0), (1, 2, swapped, 1)} <= hello.links()


@pytest.mark.parametrize("how", ["double", "space", "shift-a"])
def test_the_search_palette_adds_a_node_at_the_pointer(hello, how):
    spot = hello.page_at(760, 640)
    hello.page.mouse.move(*spot)
    hello.focus()
    if how == "double":
        hello.double(spot)
    else:
        hello.page.keyboard.press("Space" if how == "space" else "Shift+A")
    hello.page.wait_for_selector(PALETTE)
    hello.page.keyboard.type("empty latent image")
    hello.settle()
    hello.key("Enter")
    made = hello.graph()["nodes"].get("8")
    assert made is not None
    assert made["type"] == "EmptyLatentImage"
    assert made["pos"] == pytest.approx([760, 640], abs=60)


def test_incompatible_sockets_dim_while_wiring(loose):
    """A latent's wire leaves the picture of the VAE input, which it does not fit, paler than before."""
    x, y = loose.input(4, 1)
    clip = {"x": x - 8, "y": y - 8, "width": 16, "height": 16}
    before = loose.page.screenshot(clip=clip)
    loose.page.mouse.move(*loose.output(2))
    loose.page.mouse.down()
    loose.page.mouse.move(700, 700, steps=3)
    loose.settle()
    during = loose.page.screenshot(clip=clip)
    loose.page.keyboard.press("Escape")
    loose.page.mouse.up()
    loose.settle()
    assert during != before
    assert loose.page.screenshot(clip=clip) == before


def words_of_hover(editor, link: int) -> str:
    """Points at a wire; the words drawn beside the pointer."""
    editor.page.mouse.move(5, 5)
    editor.settle()
    editor.page.mouse.move(*editor.wire(link), steps=3)
    editor.settle()
    return editor.count("tip")


def kinship(editor, *, lora: str = "", vae: str = ""):
    """The shipped model with a LoRA of somebody's, or its latents with a VAE of somebody's, not wired yet."""
    sheet = Sheet()
    sheet.node(
        "CheckpointLoaderSimple",
        (0, 0),
        (300, 98),
        [],
        [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
        ["loom-demo.safetensors"],
    )
    if lora:
        sheet.node("LoraLoaderModelOnly", (420, 0), (300, 82), [("model", "MODEL")], [("MODEL", "MODEL")], [lora, 1.0])
    if vae:
        inputs = [("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent_image", "LATENT")]
        sheet.node("KSampler", (420, 0), (300, 290), inputs, [("LATENT", "LATENT")], [1, "fixed", 4, 4.0, "euler", "normal", 1])
        sheet.node("VAELoader", (420, 380), (300, 58), [], [("VAE", "VAE")], [vae])
        sheet.node("VAEDecode", (840, 0), (200, 46), [("samples", "LATENT"), ("vae", "VAE")], [("IMAGE", "IMAGE")], [])
        sheet.link(1, 0, 2, 0)
        sheet.link(2, 0, 4, 0)
    editor.open(sheet.json(), scale=1)
    editor.until("() => 'loras' in window.__test.app.lineages")
    return editor


def test_a_lora_of_another_family_says_so_while_wiring_and_at_its_link(editor):
    kinship(editor, lora="flux-style.safetensors")
    editor.page.mouse.move(*editor.output(1))
    editor.page.mouse.down()
    editor.page.mouse.move(*editor.input(2), steps=4)
    editor.settle()
    assert editor.count("tip") == "This LoRA is made for Flux; the model is Stable Diffusion 1."
    editor.page.mouse.up()
    editor.settle()
    assert editor.links() == {(1, 0, 2, 0)}, "the file may be chosen afterwards: the wire is made"
    link = editor.graph()["links"][0]["id"]
    assert words_of_hover(editor, link) == "This LoRA is made for Flux; the model is Stable Diffusion 1."
    editor.click(editor.title(2))
    editor.key("o")
    field = editor.page.get_by_role("combobox", name="model")
    field.wait_for()
    assert (
        editor.page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text().startswith("This LoRA is made for Flux")
    )


def test_a_latent_of_other_channels_than_the_vae_takes_says_so_until_the_vae_is_another(editor):
    kinship(editor, vae="sixteen.safetensors")
    editor.drag(editor.output(3), editor.input(4, 1))
    link = next(link["id"] for link in editor.graph()["links"] if (link["from"], link["to"]) == (2, 4))
    assert words_of_hover(editor, link) == "This latent has 4 channels; the VAE takes 16."
    editor.drag(editor.output(1, 2), editor.input(4, 1))
    assert words_of_hover(editor, link) == ""


def test_a_link_of_types_that_do_not_fit_says_why(editor):
    """A file may hold such a link: here a latent goes into a picture input."""
    graph = apart("EmptyLatentImage", "PreviewImage")
    graph["links"] = [[1, 1, 0, 2, 0, "LATENT"]]
    graph["last_link_id"] = 1
    graph["nodes"][0]["outputs"][0]["links"] = [1]
    graph["nodes"][1]["inputs"][0]["link"] = 1
    editor.open(graph)
    assert words_of_hover(editor, 1) == "This output gives latent; the input takes image."


def test_swap_a_node_from_its_menu(hello):
    hello.menu(hello.title(6), "Replace")
    hello.page.locator(".palette").wait_for()
    hello.page.keyboard.type("vae decode tiled")
    hello.key("Enter")
    assert any(node["type"] == "VAEDecodeTiled" for node in hello.graph()["nodes"].values())
    assert len(hello.graph()["nodes"]) == 7


def test_swap_keeps_values_of_the_same_name(hello):
    hello.click(hello.title(5))
    hello.key("Shift+R")
    hello.page.locator(".palette").wait_for()
    hello.page.keyboard.type("ksampler advanced")
    hello.key("Enter")
    hello.settle()
    made = next(node for node in hello.graph()["nodes"].values() if node["type"] == "KSamplerAdvanced")
    assert (made["values"]["steps"], made["values"]["cfg"], made["values"]["sampler_name"]) == (STEPS, 4.0, "euler")
