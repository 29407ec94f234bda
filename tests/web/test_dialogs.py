"""Settings, logs, statistics, the queue's menus, notes: each by real input."""

import pytest

from .scenes import HELLO
from .test_panels import DOC, ORDER, QUICK, panel, run, three_waiting


@pytest.fixture
def quick(editor):
    editor.open(QUICK)
    editor.focus()
    yield editor
    for name, value in (("theme", "system"), ("language", ""), ("text.size", 100), ("canvas.minimap", True)):
        editor.page.evaluate("([name, value]) => window.__test.app.prefs.set(name, value)", [name, value])
    panel(editor, "")


def settings(editor, page):
    editor.key("Control+,")
    editor.page.locator(".settings-nav").get_by_role("button", name=page).click()
    return editor.page.locator(".settings .modal-body")


def test_the_theme_changes_at_once_and_lasts(quick):
    body = settings(quick, "Look")
    colour = "() => getComputedStyle(document.body).backgroundColor"
    seen = []
    for name in ("light", "dark"):
        body.get_by_role("radio", name=name).click()
        seen.append(quick.page.evaluate(colour))
    assert seen[0] != seen[1]
    quick.key("Escape")
    quick.load()
    assert quick.page.evaluate(colour) == seen[1]


def test_the_words_change_to_russian_and_back(quick):
    body = settings(quick, "Look")
    body.get_by_role("radio", name="Русский").click()
    quick.page.get_by_role("heading", name="Настройки").wait_for()
    assert quick.page.evaluate("() => document.documentElement.lang") == "ru"
    quick.page.get_by_role("radio", name="English").click()
    quick.page.get_by_role("heading", name="Settings").wait_for()
    quick.key("Escape")


def test_text_grows(quick):
    body = settings(quick, "Look")
    size = "() => parseFloat(getComputedStyle(document.documentElement).fontSize)"
    before = quick.page.evaluate(size)
    slider = body.get_by_role("slider")
    slider.focus()
    slider.press("End")
    quick.until(f"() => ({size})() > {before * 1.5}")
    assert quick.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    quick.key("Escape")


def test_the_minimap_is_switched_off(quick):
    body = settings(quick, "Canvas")
    body.get_by_role("switch", name="Minimap").click()
    quick.key("Escape")
    quick.until("() => !document.querySelector('.minimap')?.checkVisibility()")


def test_the_log_shows_what_the_server_says_as_it_says_it(quick):
    quick.page.evaluate("() => void window.__test.app.commands.run('logs')")
    log = quick.page.locator(".log")
    log.get_by_text("node types in").wait_for()
    quick.key("Escape")


def test_statistics_say_time_and_memory_of_each_node(editor):
    editor.open(HELLO)
    editor.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 5, key: 0, name: 'seed', value: 4242 }}))")
    editor.focus()
    editor.key("Control+Enter")
    editor.until(f"() => {DOC}.run.nodes.get('5')?.ms > 0 && !{DOC}.run.prompt.value", seconds=120)
    editor.page.evaluate("() => void window.__test.app.commands.run('stats')")
    rows = editor.page.locator(".stats tbody tr")
    sampler = rows.filter(has_text="KSampler")
    sampler.wait_for()
    seconds, memory = sampler.locator("td").nth(1).inner_text(), sampler.locator("td").nth(2).inner_text()
    assert seconds.endswith((" s", " ms"))
    assert memory == "" or memory.endswith((" MB", " GB"))
    widths = editor.page.evaluate(
        "() => [...document.querySelectorAll('.stats-bar i')].map((bar) => parseFloat(bar.style.transform.slice(7)))"
    )
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 1
    sampler.get_by_role("button").click()
    assert editor.selected() == {5}


def test_waiting_jobs_are_moved_edited_and_taken_out_by_menu(quick):
    with three_waiting(quick) as body:

        def choose(row, name):
            body.locator(".job").nth(row).get_by_label("More").click()
            quick.page.get_by_role("menuitem", name=name, exact=True).click()

        choose(2, "Earlier")
        quick.until(f"() => ({ORDER})() === '1,3,2'")
        choose(0, "Later")
        quick.until(f"() => ({ORDER})() === '3,1,2'")
        body.locator(".job").nth(2).drag_to(body.locator(".job").nth(0))
        quick.until(f"() => ({ORDER})() === '2,3,1'")
        tabs = quick.page.evaluate("() => window.__test.app.docs.value.length")
        choose(1, "Take out and edit")
        quick.until(f"() => ({ORDER})() === '2,1' && window.__test.app.docs.value.length === {tabs} + 1")
        assert quick.value(1, "color") == 3


def test_a_job_that_ended_is_opened_to_be_edited_and_run_again(quick):
    run(quick)
    body = panel(quick, "queue")
    ended = body.locator(".job.done").first
    ended.hover()
    ended.get_by_label("Edit and run again").click()
    quick.until(f"() => {DOC}.graph.nodes.size === 2")
    before = quick.page.evaluate("() => window.__test.app.jobs.past.value.length")
    ended.hover()
    ended.get_by_label("Run again", exact=True).click()
    quick.until(f"() => window.__test.app.jobs.past.value.length > {before}", seconds=40)


def test_a_plain_note_is_read_as_it_is_written(editor):
    note = {
        "id": 1,
        "type": "Note",
        "pos": [40, 60],
        "size": [300, 200],
        "inputs": [],
        "outputs": [],
        "widgets_values": ["# a <b>\n  c"],
    }
    editor.open({"nodes": [note], "links": [], "groups": [], "version": 0.4})
    editor.click(editor.title(1), button="right")
    editor.page.get_by_role("menuitem", name="Read the note").click()
    body = editor.page.locator(".note")
    editor.until("() => document.querySelector('.note')?.textContent === '# a <b>\\n  c'")
    assert body.locator("*").count() == 0
    editor.key("Escape")
