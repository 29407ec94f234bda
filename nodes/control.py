"""ControlNets and inpainting models: pictures that steer the denoiser."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, cast

from engine.node import Folder, Multiline, Run, node
from engine.types import Clip, Conditioning, ControlNet, Image, Latent, Mask, Model, Vae
from nodes.sizes import FineShare, Strength10


@node("ControlNetLoader", category="loaders", title="Load ControlNet Model", lane="io")
def control_net_loader(control_net_name: Annotated[str, Folder("controlnet")], *, run: Run) -> ControlNet:
    """A ControlNet from a file."""
    from engine.diffusion.control_files import load_control

    return load_control(run.folders.find("controlnet", control_net_name), run.place)


@node("DiffControlNetLoader", category="loaders", title="Load ControlNet Model (diff)", lane="io")
def diff_control_net_loader(model: Model, control_net_name: Annotated[str, Folder("controlnet")], *, run: Run) -> ControlNet:
    """A ControlNet from a file that may hold only its differences from the model."""
    from engine.diffusion.control_files import load_control

    return load_control(run.folders.find("controlnet", control_net_name), run.place, model)


UnionKind = Literal[
    "auto",
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
]


@node("SetUnionControlNetType", category="conditioning/controlnet")
def set_union_control_net_type(control_net: ControlNet, type: UnionKind = "auto") -> ControlNet:
    """Tell a ControlNet Union what kind of picture it gets; other ControlNets stay as they are."""
    from engine.diffusion.control_union import with_kind

    return with_kind(control_net, type)


@node("ControlNetApply", category="conditioning/controlnet", title="Apply ControlNet (OLD)", deprecated=True)
def control_net_apply(
    conditioning: Conditioning, control_net: ControlNet, image: Image, strength: Strength10 = 1.0
) -> Conditioning:
    """Steer by a picture; the negative prompt is steered alike."""
    from engine.diffusion.conditioning import set_control
    from engine.diffusion.control import Control

    if strength == 0:
        return conditioning
    return Conditioning(set_control(conditioning, Control(control_net, image, strength), to_uncond=True))


class Steered(NamedTuple):
    positive: Conditioning
    negative: Conditioning


@node("ControlNetApplyAdvanced", category="conditioning/controlnet", title="Apply ControlNet")
def control_net_apply_advanced(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    strength: Strength10 = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
    vae: Vae | None = None,
) -> Steered:
    """Steer both prompts by a picture, over a share of the sampling."""
    from engine.diffusion.control import apply_control

    steered = apply_control(positive, negative, control_net, image, strength, start_percent, end_percent)
    return Steered(*(Conditioning(conditioning) for conditioning in steered))


@node("ControlNetApplySD3", category="conditioning/controlnet", title="Apply Controlnet with VAE", deprecated=True)
def control_net_apply_sd3(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    strength: Strength10 = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
) -> Steered:
    """As Apply ControlNet; the VAE is for ControlNets that look at latents."""
    return control_net_apply_advanced(positive, negative, control_net, image, strength, start_percent, end_percent, vae)


@node("ControlNetInpaintingAliMamaApply", category="conditioning/controlnet")
def control_net_inpainting_apply(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    mask: Mask,
    strength: Strength10 = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
) -> Steered:
    """As Apply ControlNet with the hole that an inpainting ControlNet is to fill: black for Union, else of -1, as in training."""
    from engine.diffusion.pixels.hints import with_hole

    seen = Image(with_hole(image, mask, black=control_net.kinds > 0))
    return control_net_apply_advanced(positive, negative, control_net, seen, strength, start_percent, end_percent, vae)


@node("ControlNetApplyMasked", category="conditioning/controlnet", title="Apply ControlNet (masked)")
def control_net_apply_masked(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    mask: Mask,
    strength: Strength10 = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
) -> Steered:
    """Steer by a picture only where the mask is bright, and as strongly as it is."""
    from engine.diffusion.control import apply_control

    steered = apply_control(positive, negative, control_net, image, strength, start_percent, end_percent, mask)
    return Steered(*(Conditioning(conditioning) for conditioning in steered))


@node("CLIPTextEncodeControlnet", category="_for_testing/conditioning", experimental=True)
def clip_text_encode_controlnet(
    clip: Clip, conditioning: Conditioning, text: Annotated[str, Multiline(dynamic_prompts=True)]
) -> Conditioning:
    """A text for the ControlNets alone."""
    from engine.diffusion.conditioning import with_options

    [embedding, options] = clip.encode(text)[0]
    pooled = options["pooled_output"]
    return Conditioning(with_options(conditioning, cross_attn_controlnet=embedding, pooled_output_controlnet=pooled))


class InpaintCondition(NamedTuple):
    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node("InpaintModelConditioning", category="conditioning/inpaint")
def inpaint_model_conditioning(
    positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image, mask: Mask, noise_mask: bool = True
) -> InpaintCondition:
    """Give an inpainting model the picture without the masked part; ``noise_mask`` also keeps the rest as it is."""
    from engine.diffusion.conditioning import inpaint

    for_positive, for_negative, latent = inpaint(positive, negative, pixels, mask, vae.encode, noise_mask=noise_mask)
    return InpaintCondition(Conditioning(for_positive), Conditioning(for_negative), cast(Latent, latent))


@node("InstructPixToPixConditioning", category="conditioning/instructpix2pix")
def instruct_pix_to_pix_conditioning(positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image) -> InpaintCondition:
    """Give an editing model the picture to be edited; sampling starts from a blank latent of its size."""
    import torch

    from engine.diffusion.conditioning import with_options
    from engine.diffusion.pixels.latents import crop_to_cells

    image, _ = crop_to_cells(pixels, torch.ones(1, *pixels.shape[1:3]), vae.spatial)
    picture = vae.encode(image)
    for_positive, for_negative = (Conditioning(with_options(c, concat_latent_image=picture)) for c in (positive, negative))
    return InpaintCondition(for_positive, for_negative, {"samples": torch.zeros_like(picture)})
