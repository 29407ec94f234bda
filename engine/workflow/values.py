"""``widgets_values`` -> values by name. The list has no names: the order of the inputs in the node's definition gives them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

Info = Mapping[str, Any]
"""A node's definition as ``/object_info`` shows it."""
WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
OTHER_WIDGETS = frozenset(
    {"COLOR", "IMAGEUPLOAD", "AUDIOUPLOAD", "VIDEOUPLOAD", "AUDIO_UI", "LOAD_3D", "LOAD_3D_ANIMATION", "MARKDOWN"}
)
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
SEEDS = ("seed", "noise_seed")
UPLOADS = ("image_upload", "video_upload", "audio_upload")


@dataclass(frozen=True, slots=True)
class Widget:
    """An input that takes a value; ``control`` and ``upload`` say that a value of no interest follows it."""

    name: str
    type: str
    options: Mapping[str, Any]
    control: bool = False
    upload: bool = False
    shown_as_input: bool = False

    @property
    def default(self) -> Any:
        if "default" in self.options:
            return self.options["default"]
        choices = self.options.get("options")
        return choices[0] if self.type == "COMBO" and isinstance(choices, list) and choices else None


def inputs_of(info: Info) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(name, type, options) of every input, in order: the required ones, then the optional ones."""
    inputs, order = info.get("input", {}), info.get("input_order", {})
    for kind in ("required", "optional"):
        entries = inputs.get(kind) or {}
        names = order.get(kind) or list(entries)
        for name in [*names, *(name for name in entries if name not in names)]:
            if name in entries:
                yield name, *config_of(entries[name])


def config_of(entry: Any) -> tuple[str, Mapping[str, Any]]:
    """``[type, options]`` taken apart; a list of choices in the type's place becomes a COMBO."""
    parts = list(entry) if isinstance(entry, list | tuple) else [entry]
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
    if isinstance(parts[0], list | tuple):
        return "COMBO", {"options": list(parts[0]), **options}
    return str(parts[0]), options


def widget_of(name: str, kind: str, options: Mapping[str, Any]) -> Widget | None:
    """The widget of an input, if it has one."""
    kind = str(options.get("widgetType", kind))
    if (kind not in WIDGETS and kind not in OTHER_WIDGETS and kind != DYNAMIC_COMBO) or options.get("forceInput"):
        return None
    control = bool(options.get("control_after_generate")) or (kind == "INT" and name in SEEDS)
    upload = any(options.get(word) for word in UPLOADS)
    return Widget(name, kind, options, control, upload, bool(options.get("defaultInput")))


def widgets_of(info: Info) -> list[Widget]:
    return [widget for name, kind, options in inputs_of(info) if (widget := widget_of(name, kind, options)) is not None]


def named_values(info: Info, values: Any) -> dict[str, Any]:
    """The values by widget name. Where the list is shorter or longer than the definition asks, the likeliest reading."""
    widgets = widgets_of(info)
    if isinstance(values, Mapping):
        known = {widget.name for widget in widgets}
        return {name: value for name, value in values.items() if name in known or "." in name}
    if not isinstance(values, list):
        return {}
    best: dict[str, Any] = {}
    best_score = float("-inf")
    for controls, uploads, sockets in product((True, False), repeat=3):
        chosen = [widget for widget in widgets if sockets or not widget.shown_as_input]
        found, score = assign(chosen, values, controls, uploads)
        if score > best_score:
            best, best_score = found, score
    return best


def assign(widgets: Sequence[Widget], values: Sequence[Any], controls: bool, uploads: bool) -> tuple[dict[str, Any], float]:
    """One reading of the list, and how well it fits: every value of the right type counts, every one left over against it."""
    found: dict[str, Any] = {}
    at, score = 0, 0.0
    pending = list(widgets)
    while pending:
        widget = pending.pop(0)
        if at >= len(values):
            score -= 0.5
            continue
        value = values[at]
        at += 1
        found[widget.name] = value
        score += 1.0 if plausible(widget, value) else -2.0
        if widget.type == DYNAMIC_COMBO:
            pending[:0] = widgets_of_option(widget, value)
        if widget.control and controls and at < len(values):
            score += 1.0 if values[at] in CONTROLS else -2.0
            at += 1
        if widget.upload and uploads and at < len(values):
            score += 0.5 if values[at] is None or isinstance(values[at], str) else -1.0
            at += 1
    return found, score - 0.75 * (len(values) - at)


def widgets_of_option(widget: Widget, chosen: Any) -> list[Widget]:
    """The widgets that a choice of a dynamic combo brings, named ``combo.widget``."""
    for option in widget.options.get("options", []):
        if isinstance(option, Mapping) and option.get("key") == chosen:
            inner = widgets_of({"input": option.get("inputs", {})})
            return [
                Widget(f"{widget.name}.{found.name}", found.type, found.options, found.control, found.upload) for found in inner
            ]
    return []


def plausible(widget: Widget, value: Any) -> bool:
    """Whether a value of that kind may stand in that widget."""
    if value is None:
        return False
    match widget.type:
        case "INT" | "FLOAT":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "BOOLEAN":
            return isinstance(value, bool)
        case "STRING":
            return isinstance(value, str)
        case "COMBO":
            choices = widget.options.get("options")
            if isinstance(choices, list) and choices and isinstance(choices[0], str):
                return value in choices or (isinstance(value, str) and value not in CONTROLS)
            return isinstance(value, str | int | float | list)
    return True
