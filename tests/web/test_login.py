"""A server that asks who one is: the login page, the way back to where one wanted to go, a session that ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, serve
from .editor import Editor
from .test_everyone import AXE, SERIOUS

NAME, PASSWORD = "ann", "a long password of ann's"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The address of a server with login and one user."""
    home: Path = tmp_path_factory.mktemp("guarded")
    (home / "user").mkdir()
    add = [sys.executable, "main.py", "users", "add", NAME, "--user-directory", str(home / "user")]
    subprocess.run(add, cwd=ROOT, input=f"{PASSWORD}\n{PASSWORD}\n", text=True, check=True, capture_output=True)
    with serve(home, "--login") as url:
        yield url


@pytest.fixture
def visitor(browser, guarded):
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def sign_in(page, password=PASSWORD):
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")


def test_who_is_not_known_is_asked_and_led_to_where_they_wanted_to_go(visitor, guarded):
    visitor.goto(f"{guarded}/?test=1&app=mine.json")
    assert visitor.url.startswith(f"{guarded}/login?next=")
    sign_in(visitor, "wrong")
    visitor.get_by_role("alert").get_by_text("Name or password is wrong.").wait_for()
    sign_in(visitor)
    visitor.wait_for_url(f"{guarded}/?test=1&app=mine.json")
    visitor.locator("#canvas canvas").first.wait_for()
    assert "loom_session" not in visitor.evaluate("() => document.cookie"), "scripts cannot read the session"


@pytest.mark.parametrize(
    "place", ["//elsewhere.example/", "https://elsewhere.example/", "javascript:alert(1)", "/\\elsewhere.example"]
)
def test_a_link_to_the_login_page_leads_to_no_other_host(visitor, guarded, place):
    visitor.goto(f"{guarded}/login?next={place}")
    sign_in(visitor)
    visitor.locator("#canvas canvas").first.wait_for()
    assert visitor.url == f"{guarded}/"


def test_a_session_that_ends_asks_again_and_nothing_is_lost(visitor, guarded):
    visitor.goto(f"{guarded}/?test=1")
    sign_in(visitor)
    visitor.locator("#canvas canvas").first.wait_for()
    visitor.evaluate("() => window.__test.app.blank()")
    visitor.context.clear_cookies()
    visitor.keyboard.press("Control+Enter")
    dialog = visitor.get_by_role("dialog")
    dialog.get_by_text("Latent Loom").wait_for()
    tabs = visitor.evaluate("() => window.__test.app.docs.value.map((doc) => doc.id)")
    sign_in(visitor)
    dialog.wait_for(state="detached")
    Editor(visitor, guarded).until("() => Boolean(window.__test?.app?.canvas)", seconds=60)
    assert visitor.evaluate("() => window.__test.app.docs.value.map((doc) => doc.id)") == tabs


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_the_login_page(browser, guarded, theme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{guarded}/login")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(SERIOUS) == []
    context.close()


def test_the_login_page_speaks_russian_to_who_reads_russian(browser, guarded):
    context = browser.new_context(locale="ru-RU")
    page = context.new_page()
    page.goto(f"{guarded}/login")
    page.get_by_label("Имя").fill(NAME)
    page.get_by_label("Пароль").fill("wrong")
    page.get_by_role("button", name="Войти").click()
    page.get_by_role("alert").get_by_text("Имя или пароль неверны.").wait_for()
    context.close()


def test_one_signs_out_from_the_menu(visitor, guarded):
    visitor.goto(f"{guarded}/?test=1")
    sign_in(visitor)
    visitor.locator("#canvas canvas").first.wait_for()
    visitor.get_by_role("button", name="Menu").click()
    visitor.get_by_role("menuitem", name="Sign out").click()
    visitor.wait_for_url(f"{guarded}/login")
    visitor.goto(f"{guarded}/")
    assert visitor.url == f"{guarded}/login"
