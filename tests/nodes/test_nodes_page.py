"""docs/nodes.md says what the code says."""

from __future__ import annotations

from engine.registry import load
from tools import nodes_page


def test_the_page_of_nodes_is_what_the_code_says() -> None:
    """``python tools/nodes_page.py`` writes it anew."""
    written = nodes_page.PAGE.read_text(encoding="utf-8")
    assert written == "\n".join(nodes_page.page(load().specs)) + "\n"
