"""Pictures and boxes in a prompt: IP-Adapter, style models, GLIGEN, LLLite."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Folder, Multiline, Run, Step, node
from engine.types import (
    Clip,
    ClipVision,
    ClipVisionOutput,
    Conditioning,
    Gligen,
    Image,
    IpAdapter,
    Mask,
    Model,
    StyleModel,
)
from nodes.sizes import MAX_RESOLUTION, FineShare, Pixels8, Strength10

Text = Annotated[str, Multiline(dynamic_prompts=True)]
BoxSide = Annotated[int, Interval(ge=8, le=MAX_RESOLUTION), Step(8)]
FineStrength = Annotated[float, Interval(ge=0.0, le=10.0), Step(0.001)]
Weight = Annotated[float, Interval(ge=-2.0, le=5.0), Step(0.05)]


@node("LoadIPAdapter", category="loaders", title="Load IP-Adapter", lane="io")
def load_ip_adapter(ip_adapter_name: Annotated[str, Folder("ipadapter")], *, run: Run) -> IpAdapter:
    """An IP-Adapter (plain, plus or full) from a file."""
    from engine.diffusion import ip_adapter

    return ip_adapter.load_ip_adapter(run.folders.find("ipadapter", ip_adapter_name), run.place)


@node(
    "ApplyIPAdapter", category="conditioning/image prompt", title="Apply IP-Adapter", search_aliases=("ipadapter", "image prompt")
)
def apply_ip_adapter(
    model: Model,
    ip_adapter: IpAdapter,
    clip_vision: ClipVision,
    image: Image,
    weight: Weight = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
    combine: Literal["concat", "average", "one each"] = "concat",
    blocks: Literal["all", "style", "layout", "style and layout"] = "all",
    mask: Mask | None = None,
) -> Model:
    """Read pictures beside the prompt, where a mask says; several may be chained.

    ``combine``: of several pictures all, their mean, or one for each picture drawn. ``blocks``: on SDXL, only those that
    decide style, or layout.
    """
    from engine.diffusion.edits.image_prompt import ImagePrompt
    from engine.diffusion.edits.places import timesteps

    tokens, without = ip_adapter.tokens(clip_vision, image, combine)
    first, last = timesteps(model.sampling, start_percent, end_percent)
    return model.with_edit(ImagePrompt(ip_adapter.attention, tokens, without, weight, first, last, mask, blocks))


@node("ApplyLLLite", category="conditioning/controlnet", title="Apply LLLite", lane="io", search_aliases=("lllite",))
def apply_lllite(
    model: Model,
    lllite_name: Annotated[str, Folder("controlnet")],
    image: Image,
    strength: Strength10 = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
    *,
    run: Run,
) -> Model:
    """Steer by a picture with a ControlNet-LLLite, which is small and changes the model."""
    from engine.diffusion.containers import read_tensors
    from engine.diffusion.edits.lllite import Lllite, modules_of
    from engine.diffusion.edits.places import timesteps

    modules = modules_of(read_tensors(run.folders.find("controlnet", lllite_name)).tensors, model)
    return model.with_edit(Lllite(modules, image, strength, *timesteps(model.sampling, start_percent, end_percent)))


@node("StyleModelLoader", category="loaders", title="Load Style Model", lane="io")
def style_model_loader(style_model_name: Annotated[str, Folder("style_models")], *, run: Run) -> StyleModel:
    """A style model from a file."""
    from engine.diffusion.style_model import load_style_model

    return load_style_model(run.folders.find("style_models", style_model_name), run.place)


@node("StyleModelApply", category="conditioning/style_model", title="Apply Style Model")
def style_model_apply(
    conditioning: Conditioning,
    style_model: StyleModel,
    clip_vision_output: ClipVisionOutput,
    strength: FineStrength = 1.0,
    strength_type: Literal["multiply", "attn_bias"] = "multiply",
) -> Conditioning:
    """Add a picture to a prompt as a few more tokens."""
    from engine.diffusion.style_model import apply_style

    return Conditioning(apply_style(conditioning, style_model, clip_vision_output, strength, strength_type))


@node("GLIGENLoader", category="loaders", lane="io")
def gligen_loader(gligen_name: Annotated[str, Folder("gligen")], *, run: Run) -> Gligen:
    """A GLIGEN from a file."""
    from engine.diffusion.gligen import load_gligen

    return load_gligen(run.folders.find("gligen", gligen_name), run.place)


@node("GLIGENTextBoxApply", category="conditioning/gligen")
def gligen_textbox_apply(
    conditioning_to: Conditioning,
    clip: Clip,
    gligen_textbox_model: Gligen,
    text: Text,
    width: BoxSide = 64,
    height: BoxSide = 64,
    x: Pixels8 = 0,
    y: Pixels8 = 0,
) -> Conditioning:
    """Draw what the text says in a box; several may be chained, the prompt should name all of it too."""
    from engine.diffusion.gligen import ground

    pooled = clip.encode(text)[0][1]["pooled_output"]
    return Conditioning(ground(conditioning_to, pooled, gligen_textbox_model, width, height, x, y))
