"""The signature is the schema."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import Field

from engine.node import (
    Blocked,
    Choose,
    Doc,
    Expand,
    Folder,
    ForceInput,
    Lazy,
    Many,
    Multiline,
    Name,
    OptionalInput,
    RawLink,
    Run,
    Seed,
    Step,
    Upload,
    node,
)
from engine.signature import DeclarationError, spec_of
from engine.spec import MISSING, Port
from engine.types import EDGE_TYPES, ClipVision, Conditioning, ControlNet, Image, Latent, Mask, Model, SamplerName, wire_name


class Pair(NamedTuple):
    positive: Conditioning
    images: Many[Image]


@node(
    "Everything",
    category="tests/all",
    title="All of It",
    output_tooltips=("first",),
    search_aliases=("every",),
    experimental=True,
)
def everything(
    model: Model,
    *,
    seed: Seed = 0,
    steps: Annotated[int, Field(ge=1, le=10_000)] = 20,
    cfg: Annotated[float, Field(ge=0, lt=100), Step(0.1), Doc("how strictly")] = 8.0,
    sampler_name: SamplerName = "euler",
    positive: Conditioning,
    text: Annotated[str, Multiline()] = "",
    lora: Annotated[str, Folder("loras")],
    image: Annotated[str, Folder("input"), Upload("image")],
    mode: Annotated[str, Choose(("a", "b"))] = "b",
    flag: bool = True,
    size: Literal[256, 512] = 512,
    late: Annotated[int, OptionalInput()] = 3,
    linked: Annotated[float, ForceInput()] = 1.0,
    from_: Annotated[int, Name("from")] = 2,
    mask: Mask | None = None,
    either: Image | Mask | None = None,
    thing: Annotated[Any, RawLink()] = None,
    run: Run,
    **more: Image,
) -> Pair | Expand | Blocked:
    """The help text."""
    return Pair(positive, [])


SPEC = spec_of(everything)
PORTS = {port.name: port for port in SPEC.inputs}


def test_inputs_keep_their_order_and_run_is_none_of_them() -> None:
    assert list(PORTS) == [
        "model", "seed", "steps", "cfg", "sampler_name", "positive", "text", "lora", "image", "mode", "flag", "size", "late",
        "linked", "from", "mask", "either", "thing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "type", "widget", "required"),
    [
        ("model", "MODEL", False, True), ("seed", "INT", True, True), ("cfg", "FLOAT", True, True),
        ("sampler_name", "COMBO", True, True), ("positive", "CONDITIONING", False, True), ("text", "STRING", True, True),
        ("lora", "COMBO", True, True), ("flag", "BOOLEAN", True, True), ("size", "COMBO", True, True),
        ("late", "INT", True, False), ("linked", "FLOAT", False, True), ("mask", "MASK", False, False),
        ("either", "IMAGE,MASK", False, False),
        ("thing", "*", False, False),
    ],
)  # fmt: skip
def test_what_a_port_is(name: str, type: str, widget: bool, required: bool) -> None:
    port = PORTS[name]
    assert (port.type, port.widget, port.required) == (type, widget, required)


def test_options_are_comfys() -> None:
    assert PORTS["seed"].options == {"min": 0, "max": 2**64 - 1, "control_after_generate": True, "default": 0}
    assert PORTS["cfg"].options == {
        "min": 0, "max": math.nextafter(100, 0), "step": 0.1, "tooltip": "how strictly", "default": 8.0,
    }  # fmt: skip
    assert PORTS["text"].options == {"multiline": True, "default": ""}
    assert PORTS["image"].options == {"image_upload": True}
    assert PORTS["size"].choices == (256, 512)
    assert PORTS["mode"].choices == ("a", "b")
    assert PORTS["lora"].choices == Folder("loras")
    assert PORTS["model"].default is MISSING


def test_outputs_are_the_fields_of_what_is_returned() -> None:
    assert [(o.name, o.type, o.is_list, o.tooltip) for o in SPEC.outputs] == [
        ("positive", "CONDITIONING", False, "first"), ("images", "IMAGE", True, ""),
    ]  # fmt: skip


def test_the_rest_of_the_declaration_is_carried() -> None:
    assert (SPEC.type, SPEC.title, SPEC.category, SPEC.description) == ("Everything", "All of It", "tests/all", "The help text.")
    assert (SPEC.experimental, SPEC.search_aliases, SPEC.output_node, SPEC.is_async) == (True, ("every",), False, False)
    assert SPEC.dynamic is not None
    assert SPEC.dynamic.type == "IMAGE"
    assert SPEC.port("anything") is SPEC.dynamic


def test_the_engine_calls_by_wire_name() -> None:
    @node("Renamed", category="tests")
    def renamed(value: int, from_: Annotated[int, Name("from")] = 0, *, run: Run) -> tuple[int, str]:
        return value + from_, run.node

    assert spec_of(renamed).call({"value": 1, "from": 2}, Run("7")) == (3, "7")


def test_one_value_that_is_a_tuple_stays_one_value() -> None:
    @node("Tuple", category="tests")
    def one() -> Any:
        return (1, 2)

    assert spec_of(one).call({}, Run()) == ((1, 2),)


def test_the_function_stays_a_function() -> None:
    @node("Plain", category="tests")
    def plain(a: int, b: int = 2) -> int:
        return a + b

    assert plain(1) == 3


def nothing(x) -> int:  # type: ignore[no-untyped-def]
    return 0


def sync_lazy(x: Lazy[int]) -> int:
    return 0


def none_without_default(x: Image | None) -> int:
    return 0


def positional(x: int, /) -> int:
    return 0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (nothing, "Missing type hint for x in .*nothing. Please add one"), (sync_lazy, "async def"),
        (none_without_default, "needs the default None"), (positional, "passable by name"),
    ],
)  # fmt: skip
def test_a_signature_that_is_no_schema_is_explained(function: Any, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        spec_of(node("Bad", category="tests")(function))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Image, "IMAGE"), (ControlNet, "CONTROL_NET"), (ClipVision, "CLIP_VISION"), (Latent, "LATENT"), (Any, "*"), (int, "INT"),
        (Image | Mask, "IMAGE,MASK"), (int | float, "INT,FLOAT"), (Image | None, "IMAGE"), (Annotated[str, 1], "STRING"),
        (Port, "PORT"),
    ],
)  # fmt: skip
def test_wire_names(kind: Any, name: str) -> None:
    assert wire_name(kind) == name


def test_edge_types_are_comfys() -> None:
    assert {
        "IMAGE", "MASK", "LATENT", "CONDITIONING", "MODEL", "CLIP", "VAE", "CONTROL_NET", "SIGMAS", "SAMPLER", "GUIDER", "NOISE",
        "CLIP_VISION", "CLIP_VISION_OUTPUT", "STYLE_MODEL", "UPSCALE_MODEL", "AUDIO", "VIDEO", "HOOKS", "TIMESTEPS_RANGE",
        "LATENT_OPERATION", "MODEL_PATCH", "AUDIO_ENCODER", "GLIGEN", "VOXEL", "MESH",
    } <= EDGE_TYPES  # fmt: skip


def test_reading_every_node_loads_nothing_heavy() -> None:
    code = (
        "import sys; from engine import registry; registry.load(); "
        "print([m for m in ('torch', 'numpy', 'PIL', 'transformers', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
