"""The type checker catches what a node writer gets wrong, before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

from mypy import api

PACK = Path(__file__).parent / "packs" / "mistakes.py"


def test_the_six_classic_mistakes_are_type_errors() -> None:
    out, err, _ = api.run(["--strict", "--no-error-summary", "--follow-imports=silent", str(PACK)])
    assert not err
    faulty = {int(line) for line in re.findall(r"mistakes\.py:(\d+): error", out)}
    lines = PACK.read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if re.search(r"# [1-6]", line)}
    assert len(expected) == 6
    assert faulty == expected, out
