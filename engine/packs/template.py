"""A new pack: its node, a test of it, what it looks like, and what to read."""

from __future__ import annotations

from pathlib import Path

from engine.packs.places import NAME, PackError

INIT = '''"""{title}."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Slider, node
from engine.types import Image


@node("{type}Brightness", category="{name}", title="{title}: Brightness")
def brightness(image: Image, amount: Annotated[float, Interval(ge=0, le=4), Slider()] = 1.0) -> Image:
    """The picture, brighter (above 1) or darker (below 1)."""
    return Image((image * amount).clamp(0, 1))
'''
TEST = '''"""Tests of {title}: python -m pytest {name}"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

spec = importlib.util.spec_from_file_location("{module}", Path(__file__).with_name("__init__.py"))
pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)


def test_brightness_stays_in_range() -> None:
    picture = torch.full((1, 2, 2, 3), 0.5)
    assert torch.equal(pack.brightness(picture, 4.0), torch.ones(1, 2, 2, 3))
    assert torch.equal(pack.brightness(picture, 0.0), torch.zeros(1, 2, 2, 3))
'''
README = """# {title}

One node so far: *Brightness*. A node is a typed function: its signature is what the editor shows, its docstring the help.

    python main.py packs trust {name}      let it run; again after each change
    python -m pytest custom_nodes/{name}   its tests

Files: `__init__.py` the nodes, `test_{module}.py` their tests, `pyproject.toml` name and version, `icon.svg` what the pack looks
like. No JavaScript is needed: a slider comes from `Slider()`, a list of choices from `Literal["a", "b"]`. More: docs/packs.md.
"""
PROJECT = """[project]
name = "{name}"
version = "0.1.0"
description = "{title}"
dependencies = []

[tool.comfy]
DisplayName = "{title}"
Icon = "icon.svg"
"""
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#355e7c"/>
<path d="M8 16h16M16 8v16" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>
"""


def make(name: str, into: Path) -> Path:
    """Write a pack that works, to start from."""
    if not NAME.match(name):
        raise PackError(f"{name!r} cannot be the name of a pack: letters, digits, - and _, a letter first.")
    target = into / name
    if target.exists():
        raise PackError(f"there is a pack called {name!r} already.")
    module = name.replace("-", "_").lower()
    words = {
        "name": name, "module": module, "title": name.replace("-", " ").replace("_", " ").title(),
        "type": name.replace("-", " ").replace("_", " ").title().replace(" ", ""),
    }  # fmt: skip
    target.mkdir(parents=True)
    files = {
        "__init__.py": INIT, f"test_{module}.py": TEST, "README.md": README, "pyproject.toml": PROJECT, "icon.svg": ICON,
    }  # fmt: skip
    for file, text in files.items():
        (target / file).write_text(text.format(**words) if file != "icon.svg" else text, encoding="utf-8")
    return target
