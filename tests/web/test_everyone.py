"""For everyone: the keyboard alone, a screen reader's view, Russian, a phone, large text."""

from pathlib import Path

import axe_playwright_python
import pytest

from .editor import Editor
from .scenes import HELLO

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
DOC = "window.__test.app.active.value"
PANELS = ("queue", "gallery", "nodes", "models", "workflows", "outline", "errors")
DIALOGS = (
    "settings", "sweep", "stats", "diff", "logs", "login", "note", "mask", "lightbox", "compare", "confirm", "ask",
)  # fmt: skip
PICTURE = {
    "url": "api/view?filename=example.png&type=input",
    "name": "example.png",
    "file": {"filename": "example.png", "type": "input", "subfolder": ""},
}

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
    before = editor.page.evaluate(f"() => {DOC}.graph.nodes.size")
    editor.page.keyboard.press("Enter")
    editor.until("() => document.activeElement?.getAttribute('role') === 'combobox'")
    editor.page.keyboard.type(words)
    first = "document.querySelector('.hit[aria-selected=true] .hit-name')?.textContent.toLowerCase()"
    editor.until(f"(words) => words.split(' ').every((word) => {first}?.includes(word))", words)
    editor.page.keyboard.press("Enter")
    editor.until(f"() => {DOC}.graph.nodes.size === {before + 1} && !document.querySelector('.palette')")
    editor.until("() => document.activeElement?.closest('.panel')")


def wire(editor, socket, source):
    """Choose what feeds an input of the node shown, by typing the first letters of its name."""
    tab_to(editor, socket, "select")
    before = editor.page.evaluate(f"() => {DOC}.graph.links.size")
    editor.page.keyboard.type(source, delay=5)
    editor.page.keyboard.press("Enter")
    editor.until(f"() => {DOC}.graph.links.size === {before + 1}")


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


def opened(editor, kind, name):
    """Show a panel, a dialog or a layer; the page as it is afterwards is audited or measured."""
    page = editor.page
    page.evaluate(f"() => {DOC}.select({{ nodes: [...{DOC}.graph.nodes.keys()].slice(0, 1) }})")
    if kind == "panel":
        page.evaluate(f"() => window.__test.app.prefs.set('panel.open', '{name}')")
        page.locator(".panel h2").wait_for()
    elif kind == "dialog":
        props = {"note": {"id": 8}, "mask": {"id": 9}, "settings": {"page": "keys"}, "confirm": {"text": "Sure?", "yes": "Yes"}}
        props |= {"ask": {"text": "Name", "value": "x"}, "lightbox": {"pictures": [PICTURE, PICTURE], "index": 0}}
        props |= {"compare": {"before": PICTURE["url"], "after": PICTURE["url"]}}
        page.evaluate("([name, props]) => void window.__test.app.ui.dialog(name, props)", [name, props.get(name, {})])
        page.locator("dialog[open]").wait_for()
    elif name == "palette":
        page.evaluate("() => window.__test.app.ui.palette({})")
        page.get_by_role("combobox").fill("sampler")
    elif name == "commands":
        page.evaluate("() => (window.__test.app.ui.commandsOpen.value = true)")
        page.get_by_role("combobox").wait_for()
    elif name == "menu":
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("menu").wait_for()
    elif name == "toast":
        page.evaluate(
            "() => window.__test.app.ui.toast('It went wrong.', { kind: 'error', action: { label: 'Show', run() {} } })"
        )
        page.locator(".toast").wait_for()
    elif name == "app mode":
        page.evaluate("() => (window.__test.app.formOpen.value = true)")
        page.locator(".form h2").wait_for()
    page.wait_for_load_state("networkidle")


def closed(editor):
    editor.page.evaluate(
        """() => {
            const { app } = window.__test;
            app.ui.dialogs.value = [];
            app.ui.toasts.value = [];
            app.ui.commandsOpen.value = false;
            app.ui.menuOpen.value = null;
            app.formOpen.value = false;
            app.prefs.set('panel.open', '');
        }"""
    )
    for _ in range(2):
        editor.page.keyboard.press("Escape")


def everywhere():
    yield from (("panel", name) for name in PANELS)
    yield from (("dialog", name) for name in DIALOGS)
    yield from (("layer", name) for name in ("palette", "commands", "menu", "toast", "app mode"))


def furnished(browser, base, **options):
    """A page of its own with something on every panel: a workflow, a picture, a note, a problem."""
    context = browser.new_context(bypass_csp=True, **{"viewport": {"width": 1600, "height": 900}, **options})
    editor = Editor(context.new_page(), base).load()
    more = [
        {
            "id": 8,
            "type": "MarkdownNote",
            "pos": [0, 600],
            "size": [200, 100],
            "widgets_values": ["# A note\n[a link](https://x.org)"],
        },
        {"id": 9, "type": "LoadImage", "pos": [300, 600], "size": [200, 200], "widgets_values": ["example.png"]},
    ]
    editor.open({**HELLO, "nodes": [*HELLO["nodes"], *more]})
    editor.page.evaluate(
        f"() => {DOC}.run.fail([{{ path: '5', type: 'x', message: 'Too large.', details: 'Try less.', traceback: ['a'] }}])"
    )
    return editor


SERIOUS = """() => axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map((one) => one.target.join(' ')).join(', ')))"""


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("width", "height"), [(1600, 900), (390, 844)], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_anywhere(browser, base, theme, width, height):
    editor = furnished(browser, base, color_scheme=theme, viewport={"width": width, "height": height}, has_touch=width < 500)
    editor.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = [f"page: {one}" for one in editor.page.evaluate(SERIOUS)]
    for kind, name in everywhere():
        opened(editor, kind, name)
        found += [f"{name}: {one}" for one in editor.page.evaluate(SERIOUS)]
        closed(editor)
    editor.page.context.close()
    assert not found, "\n".join(found)
    assert not editor.problems


def test_the_page_speaks_russian_to_who_reads_russian(browser, base):
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="ru-RU")
    page = context.new_page()
    page.goto(f"{base}/?test=1")
    page.get_by_text("Пуск").wait_for()
    assert page.evaluate("() => document.documentElement.lang") == "ru"
    context.close()


CUT = """() => {
    // What one can press or fill in, and cannot bring into sight by scrolling.
    const kinds = ['dialog[open]', '.menu', '.palette', '.toasts:popover-open', '.form', '.panel', 'body'];
    const top = kinds.map((kind) => document.querySelector(kind)).find(Boolean);
    const out = [];
    for (const one of top.querySelectorAll('button, input, select, textarea, a[href], summary')) {
        if (!one.checkVisibility() || one.type === 'file' || one.closest('.panel-edge')) continue;
        one.scrollIntoView({ block: 'center', inline: 'center' });
        const box = one.getBoundingClientRect();
        if (!box.width) continue;
        const x = (Math.max(0, box.left) + Math.min(innerWidth, box.right)) / 2;
        const y = (Math.max(0, box.top) + Math.min(innerHeight, box.bottom)) / 2;
        const seen = box.left < innerWidth - 3 && box.right > 3 && box.top < innerHeight - 3 && box.bottom > 3;
        const hit = seen && document.elementFromPoint(x, y);
        if (!hit || !(one.contains(hit) || hit.contains(one) || hit.closest('label')?.contains(one))) {
            out.push((one.getAttribute('aria-label') || one.textContent || one.name || one.className).trim().slice(0, 40));
        }
    }
    return out;
}"""


@pytest.mark.parametrize(("width", "height"), [(390, 844), (400, 225)], ids=["phone", "400 percent zoom"])
def test_everything_can_be_reached_on_a_small_page(browser, base, width, height):
    """1600x900 at 400 % is 400x225: no sideways scrolling, and whatever one can press can be scrolled into sight."""
    editor = furnished(browser, base, viewport={"width": width, "height": height}, has_touch=True, reduced_motion="reduce")
    page, lost = editor.page, []
    for kind, name in everywhere():
        opened(editor, kind, name)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth && scrollY === 0"), name
        lost += [f"{name}: {one}" for one in page.evaluate(CUT)]
        closed(editor)
    run = page.locator(".run-button").bounding_box()
    assert run["x"] + run["width"] <= width
    assert not lost, "\n".join(lost)
    page.context.close()


def test_on_a_phone_what_one_taps_is_large_enough(browser, base):
    editor = furnished(browser, base, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    small = """() => {
        const where = '.rail button, .bar button:not(.tab-close), .panel button, .zoombox button';
        return [...document.querySelectorAll(where)].filter((one) => one.checkVisibility()).flatMap((one) => {
            const { width, height } = one.getBoundingClientRect();
            return width && (width < 24 || height < 24) ? [`${one.ariaLabel || one.textContent} ${width}x${height}`] : [];
        });
    }"""
    for name in PANELS:
        opened(editor, "panel", name)
        assert not editor.page.evaluate(small), name
        closed(editor)
    editor.page.locator(".rail-button").nth(1).tap()
    editor.page.get_by_role("heading", name="Gallery").wait_for()
    editor.page.locator(".rail-button").nth(1).tap()
    editor.page.locator(".panel").wait_for(state="detached")
    editor.page.context.close()


def test_with_reduced_motion_nothing_moves(browser, base):
    editor = furnished(browser, base, reduced_motion="reduce")
    page = editor.page
    assert page.evaluate("() => document.documentElement.dataset.motion") == "less"
    moving = """() => [...document.querySelectorAll('*')].flatMap((one) => {
        const style = getComputedStyle(one);
        const seconds = style.transitionDuration.split(',').map(parseFloat);
        return style.animationName !== 'none' || seconds.some((n) => n > 0) ? [one.className || one.localName] : [];
    })"""
    for kind, name in everywhere():
        opened(editor, kind, name)
        assert page.evaluate(moving) == [], name
        closed(editor)
    assert page.evaluate("() => document.getAnimations().length") == 0
    page.context.close()


def test_with_forced_colours_what_is_chosen_and_focused_can_be_seen(browser, base):
    """The system paints over backgrounds, so a choice that only a background shows would be lost."""
    editor = furnished(browser, base, forced_colors="active")
    page = editor.page
    differs = """([on, off]) => {
        const names = ['backgroundColor', 'color', 'borderColor', 'borderWidth', 'outlineStyle', 'boxShadow', 'fontWeight'];
        const look = (one) => names.map((name) => getComputedStyle(document.querySelector(one))[name]).join('|');
        return look(on) !== look(off);
    }"""
    opened(editor, "panel", "outline")
    assert page.evaluate(differs, [".rail-button[aria-pressed=true]", ".rail-button[aria-pressed=false]"])
    assert page.evaluate(differs, [".outline-row[aria-selected=true]", ".outline-row[aria-selected=false]"])
    closed(editor)
    page.evaluate("() => void window.__test.app.ui.dialog('settings', {})")
    page.locator(".segments").first.wait_for()
    assert page.evaluate(differs, ["[role=radio][aria-checked=true]", "[role=radio][aria-checked=false]"])
    closed(editor)
    page.evaluate("() => { window.__test.app.ui.palette({}); }")
    page.locator(".hit").nth(1).wait_for()
    assert page.evaluate(differs, [".hit[aria-selected=true]", ".hit[aria-selected=false]"])
    closed(editor)
    page.locator(".logo").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.context.close()
