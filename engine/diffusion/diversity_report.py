"""A diversity report written down: the numbers as JSON, pictures side by side and the scatter as PNG, all of it as one page."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.diffusion.diversity import Interval, bootstrap, bootstrap_difference, bootstrap_ratio, detail
from engine.diffusion.diversity_run import Diversity, Measured

if TYPE_CHECKING:
    from PIL.Image import Image

BACKGROUND, INK, FAINT = "#16181d", "#e8eaf0", "#5b6170"
DOTS = ("#93c5fd", "#ffd166", "#6ee7b7", "#fca5a5", "#d8b4fe", "#f9a8d4", "#fdba74", "#a5f3fc")
SIDE, MARGIN, PLOT = 96, 12, (900, 560)
COLUMNS = ("vendi", "distance", "layout", "clip_distance", "fidelity", "clip_fidelity", "detail")
BESIDE, SHARES = ("detail",), ("fidelity", "detail")
MEANING = (
    "calls: network evaluations of one latent, a picture. vendi: how many wholly different pictures there are of a prompt. "
    "distance: of two seeds' pictures by what the VAE sees; layout: by the pictures at 32 pixels a side. fidelity: pictures that "
    "show their prompt rather than another of these, by the judge. detail: how much is fine; noise is fine, too."
)
UPWARDS = {"fidelity": "prompt fidelity", "clip_fidelity": "cosine of prompt and picture by CLIP"}


def numbers(diversity: Diversity) -> dict[str, Any]:
    """Everything measured, as plain data; intervals are 95 % over prompts.

    ``of_first`` is the ratio to the first setting, ``minus_first`` the difference from it.
    """
    return {
        "prompts": list(diversity.prompts),
        "seeds": diversity.seeds,
        "settings": [_numbers(setting, diversity.settings[0]) for setting in diversity.settings],
    }


def _numbers(setting: Measured, first: Measured) -> dict[str, Any]:
    line: dict[str, Any] = {"name": setting.name, "calls": round(setting.calls, 3), "seconds": round(setting.seconds, 3)}
    for name in ("vendi", "distance", "layout"):
        values, others = ([getattr(v, name) for v in some.varieties] for some in (setting, first))
        line[name] = _interval(bootstrap(values)) | {"of_first": _interval(bootstrap_ratio(values, others)), "prompts": values}
    fine, others = ([detail(batch) for batch in some.images] for some in (setting, first))
    line["detail"] = _interval(bootstrap(fine)) | {"of_first": _interval(bootstrap_ratio(fine, others)), "prompts": fine}
    for name, known in (
        ("fidelity", setting.fidelity), ("clip_distance", setting.clip_distance), ("clip_fidelity", setting.clip_fidelity)
    ):  # fmt: skip
        if known:
            line[name] = _interval(bootstrap(known)) | {"prompts": list(known)}
    if setting.fidelity and first.fidelity:
        line["fidelity"]["minus_first"] = _interval(bootstrap_difference(setting.fidelity, first.fidelity))
    return line


def _interval(interval: Interval) -> dict[str, float]:
    return {name: round(value, 5) for name, value in interval._asdict().items()}


def contact_sheet(diversity: Diversity, seeds: int = 8) -> Image:
    """A block of pictures a setting, side by side: a row a prompt, a column a seed."""
    from PIL import Image as PILImage
    from PIL import ImageDraw, ImageFont

    columns = min(seeds, diversity.seeds)
    width = columns * SIDE + MARGIN
    size = MARGIN + width * len(diversity.settings), 34 + SIDE * len(diversity.prompts) + MARGIN
    sheet = PILImage.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for i, setting in enumerate(diversity.settings):
        left = MARGIN + i * width
        pen.text((left, 9), f"{i + 1}. {setting.name}", DOTS[i % len(DOTS)], font=ImageFont.load_default(14))
        for row, images in enumerate(setting.images):
            for column in range(columns):
                sheet.paste(_thumbnail(images[column]), (left + column * SIDE, 34 + row * SIDE))
    return sheet


def _thumbnail(image: Tensor) -> Image:
    from PIL import Image as PILImage

    pixels = image.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
    return PILImage.fromarray(pixels).resize((SIDE, SIDE), PILImage.Resampling.LANCZOS)


def scatter(diversity: Diversity, across: str = "distance") -> Image:
    """Diversity to the right, fidelity upwards (without a judge by CLIP, without that network calls), with both intervals."""
    return plot(numbers(diversity)["settings"], across)


def plot(lines: Sequence[dict[str, Any]], across: str = "distance") -> Image:
    """The scatter of the settings that ``numbers`` wrote."""
    from PIL import Image as PILImage
    from PIL import ImageDraw, ImageFont

    upwards = next((name for name in UPWARDS if all(name in line for line in lines)), "")
    judged = upwards == "fidelity"
    xs = [line[across] for line in lines]
    ys = [line[upwards] if upwards else dict.fromkeys(("mean", "low", "high"), line["calls"]) for line in lines]
    picture = PILImage.new("RGB", PLOT, BACKGROUND)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    left, right, top, bottom = 70, PLOT[0] - 30, 40, PLOT[1] - 60 - 20 * ((len(lines) + 1) // 2)
    ticks_x, ticks_y = round_ticks(min(x["low"] for x in xs), max(x["high"] for x in xs)), round_ticks(*_ends(ys, judged))

    def place(x: float, y: float) -> tuple[float, float]:
        (x0, x1), (y0, y1) = ((ticks[0], ticks[-1]) for ticks in (ticks_x, ticks_y))
        return left + (right - left) * (x - x0) / (x1 - x0), bottom - (bottom - top) * (y - y0) / (y1 - y0)

    for tick in ticks_x:
        column, _ = place(tick, ticks_y[0])
        pen.line((column, top, column, bottom), "#262a33")
        pen.text((column, bottom + 6), f"{tick:.4g}", INK, font=font, anchor="ma")
    for tick in ticks_y:
        _, row = place(ticks_x[0], tick)
        pen.line((left, row, right, row), "#262a33")
        pen.text((left - 8, row), f"{tick:.0%}" if judged else f"{tick:.4g}", INK, font=font, anchor="rm")
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        colour = DOTS[i % len(DOTS)]
        pen.line((*place(x["low"], y["mean"]), *place(x["high"], y["mean"])), colour)
        pen.line((*place(x["mean"], y["low"]), *place(x["mean"], y["high"])), colour)
        at = place(x["mean"], y["mean"])
        pen.ellipse((at[0] - 6, at[1] - 6, at[0] + 6, at[1] + 6), fill=colour)
        pen.text((at[0] + 9, at[1] - 18), str(i + 1), colour, font=font)
        text = f"{i + 1}. {lines[i]['name']}: {lines[i]['calls']:.3g} calls"
        pen.text((left + (i % 2) * 410, bottom + 48 + 20 * (i // 2)), text, colour, font=font)
    pen.text(((left + right) / 2, bottom + 26), f"diversity ({across})", INK, font=font, anchor="ma")
    pen.text((left, 8), UPWARDS.get(upwards, "network calls a picture"), INK, font=font)
    return picture


def _ends(ys: Sequence[dict[str, float]], judged: bool) -> tuple[float, float]:
    """Shares go up to 1 and at least a tenth down, so that equal ones do not fill the picture."""
    low = min(y["low"] for y in ys)
    return (min(low, 0.9), 1.0) if judged else (low, max(y["high"] for y in ys))


def round_ticks(low: float, high: float) -> list[float]:
    """Five or so round numbers with both within."""
    span = max(high - low, 1e-3 * abs(high), 1e-6)
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * k for k in (1, 2, 5, 10) if span / (unit * k) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def page(diversity: Diversity, title: str = "Diversity") -> str:
    """One HTML file with the table, the scatter and the pictures in it."""
    lines = numbers(diversity)["settings"]
    names = [name for name in COLUMNS if name in lines[0]]
    told = [name.replace("_", " ") + (" / first's" if name in BESIDE else "") for name in names]
    head = "".join(f"<th>{name}</th>" for name in ("setting", "calls", "seconds", *told, "distance / first's"))
    rows = "".join(
        f"<tr><td>{i + 1}. {html.escape(line['name'])}</td><td>{line['calls']:.3g}</td><td>{line['seconds']:.3g}</td>"
        + "".join(f"<td>{_cell(line[name]['of_first'] if name in BESIDE else line[name], name in SHARES)}</td>" for name in names)
        + f"<td>{_cell(line['distance']['of_first'], share=True)}</td></tr>"
        for i, line in enumerate(lines)
    )
    pictures = "".join(f'<img src="data:image/png;base64,{_base64(p)}">' for p in (scatter(diversity), contact_sheet(diversity)))
    prompts = "".join(f"<li>{html.escape(prompt)}</li>" for prompt in diversity.prompts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>body{{background:{BACKGROUND};color:{INK};font:15px system-ui;margin:24px}}"
        f"td,th{{padding:4px 12px;text-align:left;border-bottom:1px solid {FAINT}}}"
        f"img{{display:block;margin:20px 0;max-width:100%}}</style><h1>{html.escape(title)}</h1>"
        f"<p>{diversity.seeds} seeds a prompt. In brackets: 95 % intervals over {len(diversity.prompts)} prompts.</p>"
        f"<table><tr>{head}</tr>{rows}</table><p>{MEANING}</p>{pictures}<ol>{prompts}</ol></html>"
    )


def _cell(interval: dict[str, float], share: bool = False) -> str:
    mean, low, high = (interval[name] * (100 if share else 1) for name in ("mean", "low", "high"))
    return f"{mean:.0f} % ({low:.0f} to {high:.0f})" if share else f"{mean:.3g} ({low:.3g} to {high:.3g})"


def _base64(picture: Image) -> str:
    return base64.b64encode(png(picture)).decode()


def png(picture: Image) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def as_json(diversity: Diversity) -> bytes:
    """``numbers`` as a file's bytes."""
    return json.dumps(numbers(diversity), indent=1).encode()


def summary(diversity: Diversity) -> str:
    """The numbers in a few lines."""
    lines = []
    for line in numbers(diversity)["settings"]:
        fidelity = f", fidelity {line['fidelity']['mean']:.0%}" if "fidelity" in line else ""
        varied = f"distance {line['distance']['mean']:.3f} ({line['distance']['of_first']['mean']:.0%} of the first)"
        fine = f"detail {line['detail']['of_first']['mean']:.0%}"
        lines.append(f"{line['name']}: Vendi {line['vendi']['mean']:.2f}, {varied}{fidelity}, {fine}, {line['calls']:.3g} calls")
    return "\n".join(lines)
