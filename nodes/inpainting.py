"""Inpainting with Fooocus' patch, by the names the nodes of comfyui-inpaint-nodes have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple, NewType, cast

from engine.node import Folder, Run, node
from engine.types import Conditioning, Image, Latent, Mask, Model, Vae

if TYPE_CHECKING:
    from engine.diffusion.fooocus_inpaint import InpaintPatch
else:
    InpaintPatch = NewType("InpaintPatch", object)

InpaintFile = Annotated[str, Folder("inpaint", suffixes=(".pth", ".patch", ".safetensors"))]


@node("INPAINT_LoadFooocusInpaint", category="inpaint", title="Load Fooocus Inpaint", lane="io")
def load_fooocus_inpaint(head: InpaintFile, patch: InpaintFile, *, run: Run) -> InpaintPatch:
    """The patch's two files, from models/inpaint."""
    from engine.diffusion.fooocus_inpaint import load

    return load(run.folders.find("inpaint", head), run.folders.find("inpaint", patch))


@node("INPAINT_ApplyFooocusInpaint", category="inpaint", title="Apply Fooocus Inpaint")
def apply_fooocus_inpaint(model: Model, patch: InpaintPatch, latent: Latent) -> Model:
    """Make an SDXL model one that inpaints the masked part of this latent."""
    from engine.diffusion.fooocus_inpaint import apply

    return apply(model, patch, latent)


class Hole(NamedTuple):
    positive: Conditioning
    negative: Conditioning
    latent_inpaint: Latent
    latent_samples: Latent


@node("INPAINT_VAEEncodeInpaintConditioning", category="inpaint", title="VAE Encode & Inpaint Conditioning")
def vae_encode_inpaint_conditioning(positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image, mask: Mask) -> Hole:
    """Both latents inpainting wants: with grey in the hole for the patch, and the picture itself to sample from."""
    from engine.diffusion.conditioning import inpaint

    wanted, unwanted, latent = inpaint(positive, negative, pixels, mask, vae.encode, noise_mask=True)
    seen = {"samples": wanted[0][1]["concat_latent_image"], "noise_mask": latent["noise_mask"].round()}
    return Hole(Conditioning(wanted), Conditioning(unwanted), cast(Latent, seen), cast(Latent, latent))
