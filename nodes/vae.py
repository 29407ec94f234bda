"""Latents to pictures and back."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Advanced, Doc, Step, node
from engine.types import Image, Latent, Mask, Vae

Tile = Annotated[int, Interval(ge=64, le=4096), Step(64)]
DecodeTile = Annotated[int, Interval(ge=64, le=4096), Step(32)]
Overlap = Annotated[int, Interval(ge=0, le=4096), Step(32)]
Frames = Annotated[int, Interval(ge=8, le=4096), Step(4), Advanced(), Doc("For video VAEs: frames decoded at a time.")]
FrameOverlap = Annotated[int, Interval(ge=4, le=4096), Step(4), Advanced(), Doc("For video VAEs: frames that overlap.")]


@node("VAEDecode", category="latent", title="VAE Decode")
def vae_decode(samples: Latent, vae: Vae) -> Image:
    """The picture of a latent."""
    from engine.diffusion.latent_format import check_kin

    check_kin(samples.get("vae"), vae.whose, "the VAE is")
    images = vae.decode(samples["samples"])
    return Image(images.flatten(0, 1) if images.ndim == 5 else images)


@node("VAEDecodeTiled", category="_for_testing", title="VAE Decode (Tiled)")
def vae_decode_tiled(
    samples: Latent,
    vae: Vae,
    tile_size: DecodeTile = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Image:
    """The picture of a latent, decoded in tiles: slower, but in little memory."""
    from engine.diffusion.latent_format import check_kin

    check_kin(samples.get("vae"), vae.whose, "the VAE is")
    overlap = overlap if tile_size >= overlap * 4 else tile_size // 4
    images = vae.decode_tiled(samples["samples"], tile=tile_size, overlap=overlap)
    return Image(images.flatten(0, 1) if images.ndim == 5 else images)


def made_by(vae: Vae, latent: Latent) -> Latent:
    """The latent with whose VAE made it, where that is known."""
    return {**latent, "vae": vae.whose} if vae.whose else latent


@node("VAEEncode", category="latent", title="VAE Encode")
def vae_encode(pixels: Image, vae: Vae) -> Latent:
    """The latent of a picture."""
    return made_by(vae, {"samples": vae.encode(pixels)})


@node("VAEEncodeTiled", category="_for_testing", title="VAE Encode (Tiled)")
def vae_encode_tiled(
    pixels: Image,
    vae: Vae,
    tile_size: Tile = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Latent:
    """The latent of a picture, encoded in tiles: slower, but in little memory."""
    return made_by(vae, {"samples": vae.encode_tiled(pixels, tile=tile_size, overlap=overlap)})


@node("VAEEncodeForInpaint", category="latent/inpaint", title="VAE Encode (for Inpainting)")
def vae_encode_for_inpaint(
    pixels: Image, vae: Vae, mask: Mask, grow_mask_by: Annotated[int, Interval(ge=0, le=64), Step(1)] = 6
) -> Latent:
    """The latent of a picture with the masked part made grey, to be painted anew where the mask (grown a little) is 1."""
    from engine.diffusion.pixels.latents import crop_to_cells, mask_for_encoding

    image, hole = crop_to_cells(pixels, mask, vae.spatial)
    greyed, noise_mask = mask_for_encoding(image, hole, grow_mask_by)
    return made_by(vae, {"samples": vae.encode(greyed), "noise_mask": noise_mask})
