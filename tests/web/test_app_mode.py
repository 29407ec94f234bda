"""App mode: what the author chose is a form; its address works in another browser on the network."""

import uuid

import pytest

from .editor import Editor
from .test_panels import DOC, QUICK, run


@pytest.fixture
def shared(editor):
    """A workflow saved with a form of one value; its file."""
    editor.open(QUICK)
    editor.page.evaluate("() => window.__test.app.prefs.set('panel.open', '')")
    editor.focus()
    editor.key("Alt+a")
    editor.page.get_by_text("Choose what is shown").click()
    boxes = editor.page.locator(".form-fields").get_by_role("checkbox")
    for i in range(boxes.count()):
        boxes.nth(i).set_checked(False)
    editor.page.get_by_role("checkbox", name="color").check()
    editor.page.get_by_text("Done").click()
    editor.key("Control+s")
    name = f"an app {uuid.uuid4().hex[:6]}"
    field = editor.page.get_by_role("textbox", name="Save as")
    field.fill(name)
    field.press("Enter")
    editor.until(f"() => {DOC}.file.value === '{name}.json' && !{DOC}.dirty.value")
    editor.file = f"{name}.json"
    yield editor
    editor.page.evaluate("() => (window.__test.app.formOpen.value = false)")


def test_the_form_shows_what_the_author_chose_and_runs(shared):
    fields = shared.page.locator(".form-fields .value")
    assert fields.count() == 1
    field = shared.page.locator(".form").get_by_label("color")
    field.fill("255")
    field.press("Tab")
    assert shared.value(1, "color") == 255
    shared.page.locator(".form").get_by_role("button", name="Run").click()
    shared.page.locator(".form-pictures img").wait_for(timeout=40_000)


def test_the_address_shows_the_form_in_another_browser(shared, browser):
    shared.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shared.page.get_by_text("Copy the address").click()
    shared.page.locator(".toast", has_text="The address is copied.").wait_for()
    address = shared.page.evaluate("() => navigator.clipboard.readText()")
    assert address.startswith(f"{shared.base}/?app=")
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    other = Editor(context.new_page(), shared.base)
    other.page.goto(f"{address}&test=1")
    other.page.locator(".form .value").first.wait_for()
    assert other.page.locator(".form .value").count() == 1
    assert not other.page.locator(".rail").is_visible(), "no graph in sight"
    other.page.locator(".form").get_by_label("color").fill("65280")
    other.page.locator(".form").get_by_role("button", name="Run").tap()
    other.page.locator(".form-pictures img").wait_for(timeout=40_000)
    assert other.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert not other.problems
    context.close()


def test_a_value_is_put_on_the_form_from_the_canvas_and_taken_off(editor):
    editor.open(QUICK)
    editor.camera(60, 120, 1)
    editor.click(editor.widget(1, "width"), button="right")
    editor.page.get_by_role("menuitem", name="Show in app mode").click()
    editor.focus()
    editor.key("Alt+a")
    assert editor.page.locator(".form").get_by_label("width").is_visible()
    editor.key("Alt+a")
    editor.click(editor.widget(1, "width"), button="right")
    editor.page.get_by_role("menuitem", name="Take out of app mode").click()
    editor.focus()
    editor.key("Alt+a")
    editor.page.locator(".form").wait_for()
    assert editor.page.locator(".form").get_by_label("width").count() == 0
    editor.key("Alt+a")


def test_a_failed_run_says_why_on_the_form(editor):
    editor.open(QUICK)
    run(editor)
    editor.page.evaluate(f"() => {DOC}.edit('x', (e) => e.change({{ op: 'value', id: 1, key: 0, name: 'width', value: -5 }}))")
    editor.key("Alt+a")
    editor.page.locator(".form").get_by_role("button", name="Run").click()
    editor.page.locator(".form .error-card", has_text="width").wait_for()
    editor.page.evaluate("() => (window.__test.app.formOpen.value = false)")
