"""Nothing untrusted runs: the page's rules, no word to any other host, and hostile files, notes and names."""

import json
import re
import struct
import urllib.request
import zlib

import pytest

from .scenes import HELLO

DOC = "window.__test.app.active.value"
PANELS = ("queue", "gallery", "nodes", "models", "workflows", "outline", "errors")
DIALOGS = ("settings", "sweep", "stats", "diff", "logs")
ELSEWHERE = "http://elsewhere.example"
MARKUP = f"<img src={ELSEWHERE}/a.png onerror=\"window.hacked='img'\"><script>window.hacked='script'</script>"
NOTE = f"""# A note

{MARKUP}

[run](javascript:window.hacked='link') [data](data:text/html,<script>alert(1)</script>) [good](https://example.org/page)

![picture]({ELSEWHERE}/b.png)

<svg onload="window.hacked='svg'"><a xlink:href="javascript:window.hacked='svg link'"><text>x</text></a></svg>
<iframe src="{ELSEWHERE}/frame"></iframe><form action="{ELSEWHERE}/post"><input name="q"><button>send</button></form>
<style>body {{ background: url({ELSEWHERE}/style.png) }}</style><link rel="stylesheet" href="{ELSEWHERE}/x.css">
<p style="background: url({ELSEWHERE}/p.png)" id="app" onclick="window.hacked='p'">styled</p>
<math><mtext><table><mglyph><style><img src onerror=window.hacked='math'></style></mglyph></table></mtext></math>

**strong** and `code`
"""
DROP = """([name, type, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, { type }));
    const canvas = document.querySelector('#canvas canvas');
    const where = { bubbles: true, cancelable: true, clientX: 700, clientY: 500, dataTransfer: data };
    for (const kind of ['dragenter', 'dragover', 'drop']) canvas.dispatchEvent(new DragEvent(kind, where));
}"""


@pytest.fixture
def watched(editor):
    """The editor, with every request and every complaint of the browser written down."""
    asked, complaints = [], []
    request, message = lambda one: asked.append(one.url), lambda one: complaints.append(one.text)
    editor.page.on("request", request)
    editor.page.on("console", message)
    editor.asked, editor.complaints = asked, complaints
    yield editor
    editor.page.remove_listener("request", request)
    editor.page.remove_listener("console", message)
    assert not strangers(editor), "a request left the server"
    assert not editor.page.evaluate("() => window.hacked"), "something untrusted ran"
    assert not [text for text in complaints if "Content Security Policy" in text], complaints
    editor.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")


def strangers(editor):
    ours = re.escape(editor.base.split("//")[1])
    return [url for url in editor.asked if not re.match(rf"(https?|wss?)://{ours}/|blob:|data:", url)]


def drop(editor, name, content, kind="application/json"):
    tabs = editor.page.evaluate("() => window.__test.app.docs.value.length")
    editor.page.evaluate(DROP, [name, kind, list(content)])
    return tabs


def drop_workflow(editor, workflow, name="hostile.json"):
    tabs = drop(editor, name, json.dumps(workflow).encode())
    editor.until(f"() => window.__test.app.docs.value.length > {tabs}")
    editor.settle()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")


def test_the_page_lets_scripts_come_only_from_its_own_files(base):
    for path in ("/", "/?parts", "/login", "/docs"):
        with urllib.request.urlopen(base + path) as answer:
            policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";") if rule.strip())
        assert rules["default-src"] == "'self'"
        assert rules["script-src"] == "'self'"
        assert rules["object-src"] == "'none'"
        assert "unsafe-eval" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)", page), f"{path} has a script in the page"
        assert not re.search(r"\son[a-z]+\s*=", page), f"{path} has a handler in the page"
        assert not re.search(r"(src|href)=\"https?:", page), f"{path} names another host"


def test_a_walk_through_everything_asks_nothing_of_any_other_host(watched):
    watched.open(HELLO)
    for name in PANELS:
        watched.page.evaluate(f"() => window.__test.app.prefs.set('panel.open', '{name}')")
        watched.page.locator(".panel h2").wait_for()
        watched.page.wait_for_load_state("networkidle")
    watched.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")
    for name in DIALOGS:
        watched.page.evaluate(f"() => void window.__test.app.ui.dialog('{name}', {{}})")
        watched.page.get_by_role("dialog").wait_for()
        watched.page.wait_for_load_state("networkidle")
        watched.key("Escape")
    watched.focus()
    watched.key("Shift+A")
    watched.page.get_by_role("combobox").fill("load")
    watched.key("Escape")
    watched.key("Alt+a")
    watched.page.locator(".form").wait_for()
    watched.key("Alt+a")
    assert watched.asked


def test_a_note_is_read_as_text_with_links_and_nothing_else(watched):
    note = {
        "id": 1, "type": "MarkdownNote", "pos": [40, 60], "size": [400, 300], "flags": {}, "order": 0, "mode": 0,
        "inputs": [], "outputs": [], "properties": {}, "widgets_values": [NOTE],
    }  # fmt: skip
    drop_workflow(watched, {"nodes": [note], "links": [], "groups": [], "version": 0.4, "extra": {}})
    watched.camera(60, 120, 1)
    watched.click(watched.title(1), button="right")
    watched.page.get_by_role("menuitem", name="Read the note").click()
    body = watched.page.locator(".note")
    body.locator("strong").wait_for()
    kinds = set(body.evaluate("(one) => [...one.querySelectorAll('*')].map((node) => node.localName)"))
    assert kinds <= {"h1", "p", "a", "strong", "code", "br"}, kinds
    links = body.evaluate("(one) => [...one.querySelectorAll('a')].map((a) => [a.textContent, a.getAttribute('href'), a.rel])")
    assert [link[:2] for link in links] == [["run", None], ["data", None], ["good", "https://example.org/page"]]
    assert all("noopener" in rel for _, _, rel in links)
    names = "(one) => [...one.querySelectorAll('*')].flatMap((node) => node.getAttributeNames())"
    assert set(body.evaluate(names)) <= {"href", "target", "rel", "class"}
    watched.key("Escape")


def test_names_and_values_are_text_wherever_they_are_shown(watched):
    graph = json.loads(json.dumps(HELLO))
    for node in graph["nodes"]:
        node["title"] = MARKUP
        node["widgets_values"] = [MARKUP if isinstance(value, str) else value for value in node.get("widgets_values", [])]
    graph["nodes"].append({**graph["nodes"][0], "id": 99, "type": MARKUP, "pos": [0, 600], "inputs": [], "outputs": []})
    graph["groups"] = [{"title": MARKUP, "bounding": [0, 0, 400, 300], "color": f"url({ELSEWHERE}/c.png)"}]
    drop_workflow(watched, graph, f"{MARKUP.replace('/', '')}.json")
    watched.page.evaluate(f"() => {DOC}.select({{ nodes: [5, 99] }})")
    for name in PANELS:
        watched.page.evaluate(f"() => window.__test.app.prefs.set('panel.open', '{name}')")
        watched.page.locator(".panel h2").wait_for()
    watched.key("Control+Enter")
    watched.until(f"() => {DOC}.run.errors.value.length > 0", seconds=30)
    watched.page.locator(".error-card").first.wait_for()
    for name in ("sweep", "stats"):
        watched.page.evaluate(f"() => void window.__test.app.ui.dialog('{name}', {{}})")
        watched.page.get_by_role("dialog").wait_for()
        watched.key("Escape")
    watched.page.evaluate("() => (window.__test.app.formOpen.value = true)")
    watched.page.locator(".form h2").wait_for()
    shown = "() => document.querySelectorAll(`[onerror], body script, img[src^='http://elsewhere']`).length"
    assert watched.page.evaluate(shown) == 0
    watched.page.evaluate("() => (window.__test.app.formOpen.value = false)")


def test_a_workflow_cannot_reach_into_the_page_by_the_names_of_its_keys(watched):
    text = """{"nodes": [{"id": 1, "type": "Note", "pos": [0, 0], "size": [200, 100], "widgets_values": ["x"],
        "properties": {"__proto__": {"polluted": 1}}, "constructor": {"prototype": {"polluted": 1}},
        "__proto__": {"polluted": 1}}],
        "links": [], "groups": [], "version": 0.4, "__proto__": {"polluted": 1},
        "extra": {"__proto__": {"polluted": 1}, "linearData": {"inputs": [["__proto__", "polluted"], [1, "constructor"]]}},
        "definitions": {"subgraphs": [{"id": "__proto__", "name": "toString", "nodes": [], "links": []}]}}"""
    tabs = drop(watched, "proto.json", text.encode())
    watched.until(f"() => window.__test.app.docs.value.length > {tabs} || document.querySelector('.toast')")
    watched.page.evaluate("() => (window.__test.app.formOpen.value = true)")
    watched.page.locator(".form").wait_for()
    watched.page.evaluate("() => (window.__test.app.formOpen.value = false)")
    assert watched.page.evaluate("() => [({}).polluted, [].polluted, (() => 1).polluted].every((one) => one === undefined)")


DEEP = b'{"nodes":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
HUGE = png(b"\xff\xff\xff\xf0tEXtworkflow\0{")
BOMB = png(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b'{"nodes": [' + b" " * 50_000_000)))
ODD = {
    "nodes": [
        {"id": 1, "type": None, "pos": [float("1e308"), -1e308], "size": [1e9, -5], "widgets_values": {"a": 1}, "inputs": "x"},
        {"id": 1, "type": "KSampler", "pos": "here", "size": None, "mode": "x", "flags": 7, "order": {}, "outputs": [None, 5]},
        {"id": -1, "type": "SaveImage"}, {}, None, 5, "node",
    ],
    "links": [[1, 1, 0, 2, 0, "*"], [1, 1, 0, 1, 0, "*"], [2], None, {"id": "x"}, [3, 1, 999, 1, -4, {}]],
    "groups": [{"bounding": "no"}, None], "extra": {"ds": {"scale": 0, "offset": ["a"]}, "reroutes": 5}, "version": 0.4,
    "definitions": {"subgraphs": [{"id": "a", "nodes": [{"id": 1, "type": "a"}]}, None]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("empty.json", "application/json", b""),
        ("not.json", "application/json", b"\xff\xfe nothing {"),
        ("deep.json", "application/json", DEEP),
        ("odd.json", "application/json", json.dumps(ODD).encode()),
        ("cut.png", "image/png", png(chunk(b"tEXt", b'workflow\0{"nodes": []}'))[:60]),
        ("huge.png", "image/png", HUGE),
        ("bomb.png", "image/png", BOMB),
        ("none.webp", "image/webp", b"RIFF\xff\xff\xff\xffWEBPEXIF\xff\xff\xff\xff"),
        ("none.mp4", "video/mp4", b"\0\0\0\1moov" + b"\xff" * 16 + b"\0\0\0\0" * 8),
        ("page.html", "text/html", f"<script>window.hacked='page'</script>{MARKUP}".encode()),
        ("drawing.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.hacked=1'/>"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_hostile_file_does_no_harm_and_is_spoken_of(watched, name, kind, content):
    """Each is opened, taken as an input, or refused in words; and the page goes on working."""
    nodes = watched.page.evaluate(f"() => {DOC}.graph.nodes.size")
    tabs = drop(watched, name, content, kind)
    more = f"window.__test.app.docs.value.length > {tabs} || {DOC}.graph.nodes.size > {nodes}"
    watched.until(f"() => document.querySelector('.toast') || {more}", seconds=30)
    watched.settle()
    watched.open(HELLO)
    watched.focus()
    watched.key("Shift+A")
    watched.page.get_by_role("combobox").wait_for()
    watched.key("Escape")
    watched.page.evaluate("() => (window.__test.app.ui.toasts.value = [])")


def test_pasted_text_is_a_workflow_or_nothing(watched):
    watched.open(HELLO)
    watched.focus()
    paste = """(text) => {
        const data = new DataTransfer();
        data.setData('text/plain', text);
        data.setData('text/html', text);
        const how = { clipboardData: data, bubbles: true, cancelable: true };
        document.activeElement.dispatchEvent(new ClipboardEvent('paste', how));
    }"""
    for text in (MARKUP, "null", "[]", '{"nodes": 5}', DEEP.decode(), json.dumps(ODD)):
        watched.page.evaluate(paste, text)
        watched.settle()
    assert watched.page.evaluate("() => document.querySelectorAll('[onerror]').length") == 0
    watched.key("Shift+A")
    watched.page.get_by_role("combobox").wait_for()
    watched.key("Escape")
