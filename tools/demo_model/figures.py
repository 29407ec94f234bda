"""Writes the figures of the study into the tables of ``docs/distilled.md`` and its translation; the rows' names stay.

A table that begins after ``<!-- figures: pairs -->`` has one row for each setting of ``docs/pictures/distilled-pairs.json``, or
for each of those named after it, ``<!-- figures: pairs; base, 20 steps; seed variance 2 -->``.

python -m tools.demo_model.figures
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"distilled.md": " to ", "distilled.ru.md": "…"}
"""A page's file, and what stands between the ends of an interval there."""
MARK = re.compile(r"<!-- figures: (.+) -->")


def cells(line: Mapping[str, Any], to: str, dose: bool = False) -> list[str]:
    """A row's figures: calls, Vendi, distance and fidelity, what is seen, detail; of a dose only what it changes."""
    distance, detail = line["distance"]["of_first"], line["detail"]["of_first"]
    fidelity, less = share(line["fidelity"], to), points(line["fidelity"]["minus_first"], to)
    if dose:
        return [f"{line['calls']:g}", change(detail, to), change(distance, to), fidelity, less]
    seen = [f"{line['seen'][name]:.0%}".replace("%", " %") for name in ("things", "colours", "style") if name in line["seen"]]
    varied = [f"{line['calls']:g}", f"{line['vendi']['mean']:.2f}", share(distance, to)]
    return [*varied, fidelity, less, *(seen if len(seen) > 1 else []), share(detail, to)]


def share(interval: Mapping[str, float], to: str) -> str:
    """``95 % (91 to 99)``; without an interval where there is none."""
    mean, low, high = (round(100 * interval[name]) for name in ("mean", "low", "high"))
    return f"{mean} %" if interval["low"] == interval["high"] else f"{mean} % ({low}{to}{high})"


def change(interval: Mapping[str, float], to: str) -> str:
    """What a ratio is beside 1: ``+2.5 % (+1.9 to +3.1)``."""
    mean, low, high = (100 * interval[name] - 100 for name in ("mean", "low", "high"))
    return "0" if low == high else f"{mean:+.1f} % ({low:+.1f}{to}{high:+.1f})"


def points(interval: Mapping[str, float], to: str) -> str:
    """A difference in percentage points, with its sign: ``-2 (-6 to +1)``."""
    mean, low, high = (f"{value:+d}" if (value := round(100 * interval[name])) else "0" for name in ("mean", "low", "high"))
    return mean if interval["low"] == interval["high"] else f"{mean} ({low}{to}{high})"


def written(page: str, to: str, folder: Path = DOCS / "pictures") -> str:
    """The page with the figures in its tables."""
    return "\n".join(_rows(page.split("\n"), to, folder))


def _rows(lines: list[str], to: str, folder: Path) -> Iterator[str]:
    waiting: list[dict[str, Any]] = []
    dose = False
    for line in lines:
        mark = MARK.fullmatch(line)
        if mark:
            group, *names = (part.strip() for part in mark[1].split(";"))
            settings = json.loads((folder / f"distilled-{group}.json").read_text())["settings"]
            known = {setting["name"]: setting for setting in settings}
            waiting, dose = [known[name] for name in names] if names else settings, group.startswith("doses")
        elif waiting and line.startswith("| ") and not line.startswith("| |") and "---" not in line:
            label = line.split("|")[1].strip()
            line = f"| {' | '.join([label, *cells(waiting.pop(0), to, dose)])} |"
        yield line


def main() -> None:
    """Writes both pages."""
    for name, to in PAGES.items():
        path = DOCS / name
        path.write_text(written(path.read_text(), to))


if __name__ == "__main__":
    main()
