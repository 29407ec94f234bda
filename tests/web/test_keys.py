"""Rows of the interaction list that are keys: copying, tidying, running, panels, lists."""

import time

import pytest


def wait_for(editor, test, seconds=20):
    """Let the page go on until a test of what was recorded holds."""
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it did not come"
        editor.page.wait_for_timeout(30)


def names(editor):
    return sorted(node["type"] for node in editor.graph()["nodes"].values())


def test_copy_and_paste(hello):
    hello.click(hello.title(4))
    hello.page.keyboard.press("Control+c")
    hello.page.mouse.move(*hello.page_at(600, 600))
    hello.key("Control+v")
    hello.until("() => Object.keys(window.__test.counters.graph().nodes).length === 8")
    copy = hello.graph()["nodes"]["8"]
    assert copy["type"] == "EmptyLatentImage"
    assert not [link for link in hello.graph()["links"] if link["from"] == 8], "a plain paste brings no wires"
    hello.key("Control+z")
    assert len(hello.graph()["nodes"]) == 7


def test_paste_with_links(hello):
    hello.click(hello.title(6))
    hello.page.keyboard.press("Control+c")
    hello.page.mouse.move(*hello.page_at(600, 600))
    hello.key("Control+Shift+V")
    hello.until("() => Object.keys(window.__test.counters.graph().nodes).length === 8")
    assert {(5, 0, 8, 0), (1, 2, 8, 1)} <= hello.links()


def test_delete(hello):
    hello.click(hello.title(6))
    hello.key("Delete")
    assert "6" not in hello.graph()["nodes"]
    assert not any(6 in (link[0], link[2]) for link in hello.links())


def test_tidy_keeps_the_wires_and_moves_the_nodes(hello):
    links = hello.links()
    before = {key: node["pos"] for key, node in hello.graph()["nodes"].items()}
    hello.focus()
    hello.key("l")
    hello.until("(before) => window.__test.counters.graph().nodes[7].pos.join() !== before.join()", before["7"])
    hello.settle()
    after = {key: node["pos"] for key, node in hello.graph()["nodes"].items()}
    assert after != before
    assert hello.links() == links
    for source, _, target, _ in links:
        assert after[str(source)][0] < after[str(target)][0], "wires run from left to right"


@pytest.mark.parametrize(("command", "axis"), [("align.left", 0), ("align.top", 1)])
def test_align(hello, command, axis):
    hello.click(hello.title(1))
    hello.click(hello.title(4), keys="Control")
    hello.page.evaluate("(id) => window.__test.app.commands.run(id)", command)
    hello.settle()
    nodes = hello.graph()["nodes"]
    assert nodes["1"]["pos"][axis] == nodes["4"]["pos"][axis]


def test_run_run_front_and_stop_ask_the_server(hello):
    asked = []
    hello.page.on("request", lambda request: request.method == "POST" and asked.append((request.url, request.post_data or "")))
    hello.focus()
    hello.key("Control+Enter")
    wait_for(hello, lambda: any(url.endswith("/prompt") for url, _ in asked))
    asked.clear()
    hello.key("Control+Shift+Enter")
    wait_for(hello, lambda: any(url.endswith("/prompt") and '"front":true' in body.replace(" ", "") for url, body in asked))
    asked.clear()
    hello.key("Control+Alt+Enter")
    wait_for(hello, lambda: any("interrupt" in url or "cancel" in url or "queue" in url for url, _ in asked))


def test_run_to_this_node_sends_only_what_it_needs(hello):
    bodies = []
    hello.page.on(
        "request",
        lambda request: request.url.endswith("/prompt") and request.method == "POST" and bodies.append(request.post_data_json),
    )
    hello.click(hello.title(7))
    hello.key("Alt+Enter")
    wait_for(hello, lambda: bodies)
    assert bodies[0].get("partial_execution_targets") == ["7"]


@pytest.mark.parametrize("key", ["q", "w", "n", "m", "a", "o"])
def test_panels_open_with_a_single_key(hello, key):
    hello.focus()
    hello.key(key)
    assert hello.page.locator("aside.panel").count() == 1
    hello.focus()
    hello.key(key)
    hello.page.locator("aside.panel").wait_for(state="detached")


def test_single_keys_do_nothing_while_typing(hello):
    hello.click(hello.widget(2, "text"))
    hello.page.keyboard.type("quiet morning in a wood")
    assert hello.page.locator("aside.panel").count() == 0
    hello.page.keyboard.press("Escape")
    assert len(hello.graph()["nodes"]) == 7


def test_the_command_list_runs_commands(hello):
    hello.focus()
    hello.key("Control+k")
    hello.page.wait_for_selector("[role=dialog]:visible, dialog[open]")
    hello.page.keyboard.type("select all")
    hello.settle()
    hello.key("Enter")
    assert len(hello.selected()) == 7


@pytest.mark.parametrize("key", ["Control+Shift+K", "?"])
def test_the_shortcuts_open(hello, key):
    hello.focus()
    hello.key(key)
    hello.page.wait_for_selector("dialog[open], [role=dialog]:visible")


def test_node_definitions_are_read_again(hello):
    asked = []
    hello.page.on("request", lambda request: asked.append(request.url))
    hello.focus()
    hello.key("r")
    wait_for(hello, lambda: any("object_info" in url for url in asked))


def test_the_palette_stays_with_shift_enter(hello):
    hello.page.mouse.move(*hello.page_at(760, 640))
    hello.focus()
    hello.key("Shift+A")
    hello.page.wait_for_selector(".palette")
    hello.page.keyboard.type("empty latent image")
    hello.settle()
    hello.page.keyboard.press("Shift+Enter")
    hello.page.keyboard.press("Enter")
    hello.settle()
    nodes = hello.graph()["nodes"]
    assert len(nodes) == 9
    assert nodes["8"]["pos"] != nodes["9"]["pos"]


@pytest.mark.parametrize(("query", "kind"), [("i:latent vae", "VAEDecode"), ("c:sampling ksampler", "KSampler")])
def test_the_palette_filters_by_port_and_category(hello, query, kind):
    hello.focus()
    hello.key("Shift+A")
    hello.page.wait_for_selector(".palette")
    hello.page.keyboard.type(query)
    hello.settle()
    hello.key("Enter")
    added = hello.graph()["nodes"]["8"]["type"]
    assert added.startswith(kind)


def test_undo_of_many_gestures_gives_the_same_file(hello):
    start = hello.page.evaluate("() => JSON.stringify(window.__test.file())")
    x, y = hello.title(4)
    hello.drag((x, y), (x + 50, y + 20))
    hello.click(hello.title(6))
    hello.key("Control+Delete")
    hello.click(hello.title(5))
    hello.key("Control+d")
    hello.key("Control+b")
    for _ in range(8):
        hello.key("Control+z")
    hello.camera(60, 120, 1)
    assert hello.page.evaluate("() => JSON.stringify(window.__test.file())") == start


def test_run_and_stop_buttons_ask_the_server(editor):
    from .test_run import with_values

    hello = editor.open(with_values(5, 2, 2000))  # steps: it runs until it is stopped
    asked = []
    hello.page.on("request", lambda request: request.method == "POST" and asked.append(request.url))
    hello.page.locator(".run-button").first.click()
    wait_for(hello, lambda: any(url.endswith("/prompt") for url in asked))
    stop = hello.page.locator("button.stop:not(:disabled)")
    stop.wait_for()
    asked.clear()
    stop.click()
    wait_for(hello, lambda: any("interrupt" in url or "cancel" in url for url in asked))
    hello.until("() => !window.__test.app.active.value.run.prompt.value", seconds=60)


@pytest.mark.parametrize("name", ["queue", "workflows", "nodes", "models", "gallery", "outline"])
def test_panels_open_by_their_tabs(hello, name):
    label = hello.page.evaluate("(key) => window.__test.app.t(key)", f"panel.{name}")
    hello.page.locator(".rail-button", has_text=label).click()
    hello.page.locator("aside.panel").wait_for()
    assert hello.page.evaluate("() => window.__test.app.prefs.get('panel.open')") == name


def test_shift_l_offers_ways_to_align_the_selection(hello):
    hello.click(hello.title(1))
    hello.click(hello.title(4), keys="Control")
    hello.key("Shift+L")
    hello.page.get_by_role("menuitem", name="Align left").wait_for()
    hello.page.keyboard.press("Enter")
    hello.settle()
    nodes = hello.graph()["nodes"]
    assert nodes["1"]["pos"][0] == nodes["4"]["pos"][0]


def test_a_key_of_the_browser_is_refused(hello):
    hello.key("Control+Shift+k")
    hello.page.get_by_label("Search commands").fill("mute")
    hello.page.locator(".key").first.click()
    hello.page.keyboard.press("Control+t")
    hello.page.get_by_text("The browser keeps").first.wait_for()
    assert hello.page.evaluate("() => window.__test.app.commands.keysOf('mute')") == ["Ctrl+M"]
    for _ in range(2):
        hello.page.keyboard.press("Escape")
