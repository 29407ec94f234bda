"""A V3 pack that uses every part of the schema contract."""

import asyncio
from enum import Enum

from comfy_api.latest import ComfyAPI, ComfyAPISync, ComfyExtension, io, ui
from comfy_execution.graph_utils import GraphBuilder
from server import PromptServer

CALLS = []


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


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Join, Show, Grown, Picky, Grow]


async def comfy_entrypoint():
    return Extension()
