"""A pack in ComfyUI's language that uses every part of its node contract."""

import asyncio
import re

from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict
from comfy.utils import ProgressBar
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder, is_link

CALLS = []


class AnyType(str):
    def __ne__(self, other):
        return False


class ContainsAny(dict):
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return ("*",)


ANY = AnyType("*")


class Value:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1, "min": -100, "max": 1000, "step": 1, "tooltip": "a number"})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "give"
    CATEGORY = "contract"

    def give(self, value):
        CALLS.append(("Value", value))
        return (value,)


class Shown:
    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True
    CATEGORY = "contract"
    DESCRIPTION = "Shows anything."

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (ANY,)}}

    def show(self, value):
        return {"ui": {"value": [value]}}


class Combo:
    files = ["a.txt", "b.txt"]  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": (sorted(cls.files),), "mode": ("COMBO", {"options": ["x", "y"]})}}

    RETURN_TYPES = ("STRING", ["x", "y"])
    RETURN_NAMES = ("file", "mode")
    OUTPUT_TOOLTIPS = ("which file",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, file, mode):
        return (file, mode)


class Counter:
    """Keeps state in self; runs each time."""

    def __init__(self):
        self.count = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "hidden": {"me": "UNIQUE_ID"}}

    @classmethod
    def IS_CHANGED(cls, **kwargs):
        return float("NaN")

    RETURN_TYPES = ("INT",)
    FUNCTION = "count_up"
    CATEGORY = "contract"

    def count_up(self, me):
        self.count += 1
        return (self.count,)


class Fingerprinted:
    stamp = 1

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}, "optional": {"other": ("INT", {"forceInput": True})}}

    @classmethod
    def IS_CHANGED(cls, value, other=7):
        return (cls.stamp, value, other)

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, value, other=0):
        CALLS.append(("Fingerprinted", value, other))
        return (value + other,)


class Validated:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"low": ("INT", {"default": 0, "max": 5}), "high": ("INT", {"default": 1, "max": 5})}}

    @classmethod
    def VALIDATE_INPUTS(cls, low, high):
        if low is not None and high is not None and low > high:
            return "low is above high"
        return True

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, low, high):
        return (high - low,)


class ChecksTypes:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("MODEL",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True if input_types.get("value") in ("INT", "FLOAT") else f"cannot take {input_types.get('value')}"

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, value):
        return (value,)


class TakesKwargs:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0, "max": 5})}}

    @classmethod
    async def VALIDATE_INPUTS(cls, **kwargs):
        await asyncio.sleep(0)
        return True

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, value, **kwargs):
        return (value + sum(kwargs.values()),)


class Gathered:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": ContainsAny()}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, **kwargs):
        return (", ".join(f"{name}={kwargs[name]}" for name in sorted(kwargs)),)


class Spread:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 3})}}

    RETURN_TYPES = ("INT", "STRING")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, count):
        return (list(range(count)), "one")


class Whole:
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"values": ("INT", {"forceInput": True}), "scale": ("INT", {"default": 1})},
            "hidden": {"me": "UNIQUE_ID"},
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, values, scale, me):
        return (f"{values} {scale} {me}",)


class LazyMix:
    @classmethod
    def INPUT_TYPES(cls):
        lazy = {"lazy": True}
        return {"required": {"a": ("INT", lazy), "b": ("INT", lazy), "share": ("FLOAT", {"default": 0.5})}}

    def check_lazy_status(self, share, a, b):
        needed = []
        if a is None and share != 1.0:
            needed.append("a")
        if b is None and share != 0.0 and not needed:
            needed.append("b")
        return needed

    RETURN_TYPES = ("FLOAT",)
    FUNCTION = "mix"
    CATEGORY = "contract"

    def mix(self, share, a, b):
        return ((a or 0) * (1 - share) + (b or 0) * share,)


class Stopped:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (IO.ANY,), "stop": ("BOOLEAN", {"default": False}), "why": ("STRING", {"default": ""})}}

    RETURN_TYPES = (IO.ANY,)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, value, stop, why):
        return (ExecutionBlocker(why or None),) if stop else (value,)


class Sum(ComfyNodeABC):
    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        return {"required": {"a": (IO.INT, {}), "b": (IO.INT, {})}}

    RETURN_TYPES = (IO.INT,)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, a, b):
        CALLS.append(("Sum", a, b))
        return (a + b,)


class Expanded:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"times": ("INT", {"default": 3}), "start": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, times, start):
        graph = GraphBuilder()
        value = start
        for _ in range(times):
            value = graph.node("Contract Sum", a=value, b=1).out(0)
        return {"expand": graph.finalize(), "result": [value]}


class LoopOpen:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"condition": ("BOOLEAN", {"default": True})}, "optional": {"value": ("*",)}}

    RETURN_TYPES = ("FLOW", "*")
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, condition, value=None):
        return ("stub", value if condition else ExecutionBlocker(None))


class LoopClose:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"flow": ("FLOW", {"rawLink": True}), "condition": ("BOOLEAN", {"forceInput": True})},
            "optional": {"value": ("*",)},
            "hidden": {"dynprompt": "DYNPROMPT", "unique_id": "UNIQUE_ID"},
        }

    RETURN_TYPES = ("*",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, flow, condition, dynprompt, unique_id, value=None):
        assert is_link(flow)
        if not condition:
            return (value,)
        inside = self.between(flow[0], unique_id, dynprompt)
        graph = GraphBuilder()
        for id in inside:
            graph.node(dynprompt.get_node(id)["class_type"], "Recurse" if id == unique_id else id).set_override_display_id(id)
        for id in inside:
            node = graph.lookup_node("Recurse" if id == unique_id else id)
            for name, given in dynprompt.get_node(id)["inputs"].items():
                within = is_link(given) and given[0] in inside
                node.set_input(name, graph.lookup_node(given[0]).out(given[1]) if within else given)
        graph.lookup_node(flow[0]).set_input("value", value)
        return {"result": (graph.lookup_node("Recurse").out(0),), "expand": graph.finalize()}

    def between(self, first, last, dynprompt):
        found = {first}

        def reaches(id):
            links = [given[0] for given in dynprompt.get_node(id)["inputs"].values() if is_link(given)]
            found_there = [source == first or reaches(source) for source in links]
            if any(found_there):
                found.add(id)
            return id in found

        reaches(last)
        return found


class Below:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {}), "b": ("INT", {})}}

    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, a, b):
        return (a < b,)


class Slow:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1})}, "hidden": {"unique_id": "UNIQUE_ID"}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    async def go(self, value, unique_id):
        bar = ProgressBar(2, node_id=unique_id)
        for _ in range(2):
            await asyncio.sleep(0.05)
            bar.update(1)
        return (value,)


class Hidden:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "hidden": {"prompt": "PROMPT", "info": "EXTRA_PNGINFO", "id": "UNIQUE_ID"}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, prompt, info, id):
        return (f"{sorted(prompt)} {info} {id}",)


class Bare:
    """Returns no tuple."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "ab", "multiline": True})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, text):
        return re.sub("a", "b", text)


class NoNode:
    FUNCTION = "nothing"


class Everything:
    """Every attribute a class can have, and every option an input can."""

    @classmethod
    def INPUT_TYPES(cls):
        remote = {
            "route": "/x",
            "refresh_button": True,
            "control_after_refresh": "first",
            "timeout": 1,
            "max_retries": 2,
            "refresh": 3,
        }
        return {
            "required": {
                "number": ("INT", {"default": 3, "min": 0, "max": 9, "step": 3, "display": "slider", "tooltip": "t",
                                   "control_after_generate": True, "advanced": True}),
                "share": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.1, "round": 0.01, "display": "number"}),
                "text": ("STRING", {"multiline": True, "placeholder": "p", "dynamicPrompts": True, "defaultInput": True}),
                "truth": ("BOOLEAN", {"default": True, "label_on": "on", "label_off": "off", "socketless": True}),
                "choice": (["a", "b"], {"default": "b", "image_upload": True, "image_folder": "input"}),
                "many": ("COMBO", {"options": ["a", "b"], "multi_select": {"chip": True, "placeholder": "x"}}),
                "remote": ("COMBO", {"remote": remote, "options": ["z"], "video_upload": True, "audio_upload": True}),
            },
            "optional": {
                "either": ("INT,FLOAT", {"widgetType": "FLOAT"}),
                "linked": ("STRING", {"forceInput": True, "lazy": False}),
            },
            "hidden": {"a": "AUTH_TOKEN_COMFY_ORG", "b": "API_KEY_COMFY_ORG", "c": "EXECUTION_LIST", "d": "COMFY_USAGE_SOURCE"},
        }  # fmt: skip

    RETURN_TYPES = ("INT", "STRING")
    RETURN_NAMES = ("one", "two")
    OUTPUT_TOOLTIPS = ("the first",)
    OUTPUT_IS_LIST = (False, True)
    OUTPUT_NODE = 1
    FUNCTION = "go"
    CATEGORY = "contract/all"
    DESCRIPTION = "All of it."
    DEPRECATED = True
    EXPERIMENTAL = True
    API_NODE = True
    DEV_ONLY = True
    SEARCH_ALIASES = ("whole",)
    ESSENTIALS_CATEGORY = "Basics"
    HAS_INTERMEDIATE_OUTPUT = True

    def go(self, number, share, text, truth, choice, many, remote, either=None, linked=None, a=1, b=1, c=1, d=1):
        return (number, [share, text, truth, choice, many, remote, either, linked, a, b, c, d])


class Twice:
    """Runs for each of two nodes alike, where others would share."""

    NOT_IDEMPOTENT = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, value):
        CALLS.append((type(self).__name__, value))
        return (value,)


class Once(Twice):
    NOT_IDEMPOTENT = False


class Async:
    """Everything that may be async is."""

    stamp = 1

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"lazy": True}), "use": ("BOOLEAN", {"default": True})},
                "hidden": {"prompt": "PROMPT", "info": "EXTRA_PNGINFO", "id": "UNIQUE_ID", "graph": "DYNPROMPT"}}  # fmt: skip

    @classmethod
    async def IS_CHANGED(cls, use, prompt, info, id, graph, value=7):
        await asyncio.sleep(0)
        assert (prompt, info, id, graph, value) == ({}, None, "x", None, 7)
        return cls.stamp

    async def check_lazy_status(self, use, value=None, **kwargs):
        await asyncio.sleep(0)
        return ["value"] if use and value is None else []

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    async def go(self, use, value=None, prompt=None, info=None, id=None, graph=None):
        await asyncio.sleep(0)
        assert graph.get_node(id)["class_type"] == "Contract Async"
        assert prompt[id]["class_type"] == "Contract Async"
        CALLS.append(("Async", value))
        return (value if use else -1,)


class Raises:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    @classmethod
    def IS_CHANGED(cls, value):
        raise RuntimeError("who knows")

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "contract"

    def go(self, value):
        CALLS.append(("Raises", value))
        return (value,)


NODES = [
    Everything,
    Twice,
    Once,
    Async,
    Raises,
    Value,
    Shown,
    Combo,
    Counter,
    Fingerprinted,
    Validated,
    ChecksTypes,
    TakesKwargs,
    Gathered,
    Spread,
    Whole,
    LazyMix,
    Stopped,
    Sum,
    Expanded,
    LoopOpen,
    LoopClose,
    Below,
    Slow,
    Hidden,
    Bare,
    NoNode,
]
NODE_CLASS_MAPPINGS = {f"Contract {node.__name__}": node for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {"Contract Sum": "Sum of Two"}
WEB_DIRECTORY = "web"
