"""For everyone: the keyboard alone, a screen reader's view, Russian, a phone, large text."""

from pathlib import Path

import pytest

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
DOC = "window.__test.app.active.value"
PANELS = ("queue", "gallery", "nodes", "models", "workflows", "outline", "errors")

FOCUSED = """() => {
    const one = document.activeElement;
    const label = one.getAttribute('aria-label') ?? one.labels?.[0]?.textContent ?? one.textContent;
    return [one.tagName, (label ?? '').trim()];
}"""


def tab_to(editor, label, tag=None, key="Tab"):
    """Press Tab (or another key) until the focus is on something with this label."""
    for _ in range(80):
        name, text = editor.page.evaluate(FOCUSED)
        if text.startswith(label) and (tag is None or name == tag.upper()):
            return
        editor.page.keyboard.press(key)
    raise AssertionError(f"Tab never came to {label!r}")


def add_node(editor, words):
    """With the focus in the outline: open the palette, type, Enter; the focus comes back to the outline."""
    tab_to(editor, "Add a node", "button")
    editor.page.keyboard.press("Enter")
    editor.page.keyboard.type(words)
    editor.page.wait_for_timeout(60)
    editor.page.keyboard.press("Enter")
    editor.page.wait_for_timeout(60)


def wire(editor, socket, source):
    """Choose what feeds an input of the node shown, by typing the first letters of its name."""
    tab_to(editor, socket, "select")
    editor.page.keyboard.type(source, delay=5)
    editor.page.keyboard.press("Enter")
    editor.page.keyboard.press("Escape") if editor.page.locator("dialog[open]").count() else None
    editor.page.wait_for_timeout(60)


def test_txt2img_is_built_run_and_read_with_the_keyboard_alone(editor):
    editor.open({"nodes": [], "links": [], "version": 0.4})
    editor.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")
    editor.focus()
    editor.key("o")
    editor.page.locator(".outline-list").wait_for()
    for words in ("load checkpoint", "empty latent", "clip text encode", "ksampler", "vae decode", "save image"):
        add_node(editor, words)
    choose = "() => { const list = document.querySelector('.outline-list'); return list && document.activeElement === list; }"

    def select(label, key="Shift+Tab"):
        tab_to(editor, "Outline", "div", key)
        assert editor.page.evaluate(choose)
        editor.page.keyboard.press("Home")
        for _ in range(8):
            if editor.page.evaluate(f"() => [...{DOC}.selection.nodes].map((id) => {DOC}.graph.node(id).label)[0]") == label:
                return
            editor.page.keyboard.press("ArrowDown")
        raise AssertionError(f"no {label} in the outline")

    select("CLIP Text Encode (Prompt)", "Tab")
    wire(editor, "clip", "Load Ch")
    tab_to(editor, "text", "textarea")
    editor.page.keyboard.type("a cat")
    select("KSampler")
    wire(editor, "model", "Load Ch")
    wire(editor, "positive", "CLIP")
    wire(editor, "negative", "CLIP")
    wire(editor, "latent_image", "Empty")
    tab_to(editor, "steps", "input")
    editor.page.keyboard.press("Control+a")
    editor.page.keyboard.type("2")
    select("VAE Decode")
    wire(editor, "samples", "KS")
    wire(editor, "vae", "Load Ch")
    select("Save Image")
    wire(editor, "images", "VAE")
    select("Empty Latent Image")
    for name in ("width", "height"):
        tab_to(editor, name, "input")
        editor.page.keyboard.press("Control+a")
        editor.page.keyboard.type("64")
    assert len(editor.graph()["links"]) == 8
    select("Save Image")
    editor.page.keyboard.press("Control+Enter")
    editor.until("() => document.querySelector('.spoken[aria-live]').textContent === 'The run has ended.'", seconds=90)
    assert editor.page.locator(".details .made img").first.get_attribute("alt").startswith("Result ")
    editor.page.keyboard.press("Escape")
    editor.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install --prefix web")
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_any_panel(browser, base, theme):
    context = browser.new_context(viewport={"width": 1600, "height": 900}, color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{base}/?test=1")
    page.wait_for_function("() => Boolean(window.__test?.app?.canvas)")
    page.evaluate(AXE.read_text())
    found = []

    def audit(name):
        bad = page.evaluate(
            """() => axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
                .filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map((one) => one.target.join(' ')).join(', ')))"""
        )
        found.extend(f"{name}: {one}" for one in bad)

    audit("page")
    for name in PANELS:
        page.evaluate(f"() => {{ window.__test.app.prefs.set('panel.open', '{name}'); {DOC}.select({{ nodes: [...{DOC}.graph.nodes.keys()].slice(0, 1) }}); }}")
        page.wait_for_timeout(350)
        audit(name)
    page.evaluate("() => { window.__test.app.prefs.set('panel.open', ''); window.__test.app.ui.palette({}); }")
    page.wait_for_timeout(200)
    audit("palette")
    page.keyboard.press("Escape")
    for name in ("settings", "sweep", "stats", "diff"):
        page.evaluate(f"() => void window.__test.app.ui.dialog('{name}', {{}})")
        page.wait_for_timeout(350)
        audit(name)
        page.keyboard.press("Escape")
    page.evaluate("() => (window.__test.app.formOpen.value = true)")
    page.wait_for_timeout(350)
    audit("app mode")
    context.close()
    assert not found, "\n".join(found)


def test_the_page_speaks_russian_to_who_reads_russian(browser, base):
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="ru-RU")
    page = context.new_page()
    page.goto(f"{base}/?test=1")
    page.get_by_text("Пуск").wait_for()
    assert page.evaluate("() => document.documentElement.lang") == "ru"
    context.close()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (400, 225)], ids=["phone", "400 percent zoom"])
def test_nothing_is_cut_off_on_a_small_page(browser, base, width, height):
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.goto(f"{base}/?test=1")
    page.wait_for_function("() => Boolean(window.__test?.app?.canvas)")
    for name in PANELS:
        page.evaluate(f"() => window.__test.app.prefs.set('panel.open', '{name}')")
        page.wait_for_timeout(150)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"), name
        box = page.locator(".panel").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1 and box["y"] >= 0, (name, box)
    run = page.locator(".run-button").bounding_box()
    assert run["x"] + run["width"] <= width
    context.close()


def test_reduced_motion_and_forced_colours_are_heeded(browser, base):
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce", forced_colors="active")
    page = context.new_page()
    page.goto(f"{base}/?test=1")
    page.wait_for_function("() => Boolean(window.__test?.app?.canvas)")
    assert page.evaluate("() => document.documentElement.dataset.motion") == "less"
    assert page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--quick').trim()") == "0ms"
    context.close()
