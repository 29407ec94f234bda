"""The first load: few requests, few bytes, and the same editor whether its modules come joined or one by one."""

import pytest

from .editor import Editor

MOST_REQUESTS = 40
MOST_BYTES = 150 * 1024
READY = "() => Boolean(window.__test?.app?.canvas)"


def load(browser, address):
    """What an empty browser asks until the graph can be edited: name -> bytes as they came."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    names, sizes, problems = {}, {}, []
    session.on("Network.requestWillBeSent", lambda told: names.setdefault(told["requestId"], told["request"]["url"]))
    session.on("Network.loadingFinished", lambda told: sizes.setdefault(told["requestId"], told["encodedDataLength"]))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address, wait_until="commit", timeout=60_000)
    Editor(page, address).until(READY, seconds=60)
    asked = {names[key]: sizes.get(key, 0) for key in list(names)}
    context.close()
    assert not problems, problems
    return asked


def test_a_first_visit_needs_few_requests_and_little_code(browser, base):
    asked = load(browser, f"{base}/?test=1")
    code = {url: size for url, size in asked.items() if "/api/" not in url}
    assert len(asked) < MOST_REQUESTS, sorted(asked)
    # What tests look with is no part of it.
    shown = {url: size for url, size in code.items() if "/joined/rest-" not in url}
    assert 0 < sum(shown.values()) < MOST_BYTES, shown


@pytest.mark.parametrize("parts", [False, True], ids=["joined", "parts"])
def test_the_editor_is_the_same_joined_and_in_parts(browser, base, parts):
    asked = load(browser, f"{base}/?test=1{'&parts' if parts else ''}")
    assert any("/joined/" in url for url in asked) != parts
    assert any(url.endswith("/ui/start.js") for url in asked) == parts


def test_a_second_visit_asks_for_no_code_that_it_has(browser, base):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.goto(f"{base}/", wait_until="networkidle")
    kept = []
    page.on("response", lambda answer: "/joined/" in answer.url and kept.append(answer.from_service_worker or answer.status))
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    cached = []
    session.on("Network.requestServedFromCache", lambda told: cached.append(told["requestId"]))
    page.reload(wait_until="networkidle")
    assert len(cached) >= 2, "scripts and styles come from the browser's own store"
    context.close()
