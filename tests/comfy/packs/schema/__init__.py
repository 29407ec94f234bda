"""A V3 pack that uses every part of the schema contract."""

import asyncio
from enum import Enum

from comfy_api.latest import Caching, ComfyAPI, ComfyAPISync, ComfyExtension, io, ui
from comfy_execution.graph_utils import GraphBuilder
from server import PromptServer

CALLS = []
LOADED = []


@PromptServer.instance.routes.get("/schema/hello/{name}")
async def hello(request):
    from aiohttp import web

    return web.json_response({"hello": request.match_info["name"]})


@PromptServer.instance.routes.post("/schema/echo")
async def echo(request):
    from aiohttp import web

    return web.json_response(await request.json())


class Mode(Enum):
    plus = "plus"
    times = "times"


class Join(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Schema Join",
            display_name="Join Numbers",
            category="schema/test",
            description="Two numbers as one.",
            inputs=[
                io.Int.Input("a", default=1, min=0, max=10, display_mode=io.NumberDisplay.slider),
                io.Float.Input("b", default=2.0, optional=True, tooltip="more"),
                io.Combo.Input("mode", options=Mode),
            ],
            outputs=[io.Float.Output(display_name="result", tooltip="what it makes")],
            hidden=[io.Hidden.unique_id],
            search_aliases=["sum"],
        )

    @classmethod
    def execute(cls, a, mode, b=3.0):
        CALLS.append((cls.hidden.unique_id, a, b))
        return io.NodeOutput(a + b if mode == "plus" else a * b)


class Show(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Schema Show", inputs=[io.AnyType.Input("value"), io.Custom("THING").Input("thing", optional=True)],
            outputs=[io.AnyType.Output()], is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, value, thing=None):
        return io.NodeOutput(value, ui=ui.PreviewText(value))


class Grown(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.Int.Input("n"), prefix="n", min=2, max=50)
        choice = io.DynamicCombo.Input(
            "how",
            options=[
                io.DynamicCombo.Option("sum", []),
                io.DynamicCombo.Option("scaled", [io.Int.Input("by", default=2)]),
            ],
        )
        return io.Schema(
            node_id="Schema Grown", inputs=[io.Autogrow.Input("numbers", template=template), choice], outputs=[io.Int.Output()]
        )

    @classmethod
    def execute(cls, numbers, how):
        return io.NodeOutput(sum(numbers.values()) * (how["by"] if how["how"] == "scaled" else 1))


class Picky(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Schema Picky",
            inputs=[io.Int.Input("n", default=0), io.Int.Input("a", lazy=True, force_input=True, optional=True)],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def validate_inputs(cls, n):
        return True if n % 2 == 0 else f"{n} is odd"

    @classmethod
    def fingerprint_inputs(cls, n, **kwargs):
        return float("nan")

    @classmethod
    def check_lazy_status(cls, n, a=None):
        return ["a"] if n else []

    @classmethod
    async def execute(cls, n, a=None):
        await asyncio.sleep(0)
        await ComfyAPI().execution.set_progress(1, 2)
        return io.NodeOutput(n + (a or 0))


class Grow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Schema Expand", inputs=[io.Int.Input("n"), io.Boolean.Input("stop", default=False)],
            outputs=[io.Float.Output()], enable_expand=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, n, stop):
        ComfyAPISync().execution.set_progress(1, 1)
        if stop:
            return io.NodeOutput(block_execution="enough")
        graph = GraphBuilder()
        node = graph.node("Schema Join", a=n, b=1.0, mode="times")
        return io.NodeOutput(node.out(0), expand=graph.finalize())


class Shows(io.ComfyNode):
    """Shows what it is asked to, by the helpers there are."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Schema Shows", inputs=[io.Combo.Input("what", options=list(SHOWN))], outputs=[], is_output_node=True,
            essentials_category="Basics", has_intermediate_output=True, is_deprecated=True, is_experimental=True,
            is_api_node=True, is_dev_only=True, not_idempotent=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, what):
        import torch

        pictures = torch.rand(3, 8, 16, 3, generator=torch.Generator().manual_seed(1))
        return io.NodeOutput(ui=SHOWN[what](pictures))


def sound(pictures):
    return {"waveform": pictures.reshape(1, 2, -1), "sample_rate": 8000}


SHOWN = {
    "picture": lambda pictures: ui.PreviewImage(pictures, cls=Shows),
    "mask": lambda pictures: ui.PreviewMask(pictures[..., 0]),
    "text": lambda pictures: ui.PreviewText("hello"),
    "sound": lambda pictures: ui.PreviewAudio(sound(pictures), cls=Shows),
    "saved": lambda pictures: ui.ImageSaveHelper.get_save_images_ui(pictures, "schema/saved", cls=Shows),
    "png": lambda pictures: ui.ImageSaveHelper.get_save_animated_png_ui(pictures, "schema/a", Shows, 6.0, 4),
    "webp": lambda pictures: ui.ImageSaveHelper.get_save_animated_webp_ui(pictures, "schema/a", Shows, 6.0, True, 80, 4),
    "wav": lambda pictures: ui.AudioSaveHelper.get_save_audio_ui(sound(pictures), "schema/s", cls=Shows),
    "model": lambda pictures: ui.PreviewUI3D("a.glb"),
    "dict": lambda pictures: {"text": ["plain"]},
}


class Takes(io.ComfyNode):
    """Takes any input there is."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Schema Takes", inputs=[], outputs=[io.String.Output()], accept_all_inputs=True)

    @classmethod
    def execute(cls, **kwargs):
        return io.NodeOutput(", ".join(f"{name}={kwargs[name]}" for name in sorted(kwargs)))


class Priced(io.ComfyNode):
    """What is data about a node and no more."""

    @classmethod
    def define_schema(cls):
        badge = io.PriceBadge(expr='{"type": "usd", "usd": 0.01}', depends_on=io.PriceBadgeDepends(widgets=["n"]))
        return io.Schema(node_id="Schema Priced", inputs=[io.Int.Input("n")], outputs=[io.Int.Output()], price_badge=badge,
                         loop_boundary="start")  # fmt: skip

    @classmethod
    def execute(cls, n):
        return io.NodeOutput(n + 1)


class Elsewhere(Caching.CacheProvider):
    async def on_lookup(self, context):
        raise AssertionError("never asked")


class Extension(ComfyExtension):
    async def on_load(self):
        await ComfyAPI().caching.register_provider(Elsewhere())
        LOADED.append("loaded")

    async def get_node_list(self):
        return [Join, Show, Grown, Picky, Grow, Shows, Takes, Priced]


async def comfy_entrypoint():
    return Extension()
