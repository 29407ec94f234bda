"""Conditioning by pictures: unCLIP, Stable Video Diffusion, Stable Zero123, Stable Video 3D, the x4 upscaler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Interval

from engine.node import Round, Step, node
from engine.types import ClipVision, ClipVisionOutput, Conditioning, Image, Latent, Vae
from nodes.sizes import MAX_RESOLUTION, FineShare, Share, Strength10

if TYPE_CHECKING:
    from torch import Tensor

Side = Annotated[int, Interval(ge=16, le=MAX_RESOLUTION), Step(8)]
Strength = Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.01)]
Degrees = Annotated[float, Interval(ge=-180.0, le=180.0), Step(0.1), Round(False)]
Count4096 = Annotated[int, Interval(ge=1, le=4096)]


class PicturePrompt(NamedTuple):
    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node("unCLIPConditioning", category="conditioning")
def unclip_conditioning(
    conditioning: Conditioning, clip_vision_output: ClipVisionOutput, strength: Strength = 1.0, noise_augmentation: Share = 0.0
) -> Conditioning:
    """Beside the prompt, what a picture shows, for an unCLIP model; the noise lets it stray from the picture. May be chained."""
    from engine.diffusion.conditioning import entries

    if strength == 0:
        return conditioning
    one = {"clip_vision_output": clip_vision_output, "strength": strength, "noise_augmentation": noise_augmentation}
    before = [(tensor, options, options.get("unclip_conditioning", ())) for tensor, options in entries(conditioning)]
    return Conditioning([[tensor, {**options, "unclip_conditioning": [*known, one]}] for tensor, options, known in before])


@node("SVD_img2vid_Conditioning", category="conditioning/video_models")
def svd_img2vid_conditioning(
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: Side = 1024,
    height: Side = 576,
    video_frames: Count4096 = 14,
    motion_bucket_id: Annotated[int, Interval(ge=1, le=1023)] = 127,
    fps: Annotated[int, Interval(ge=1, le=1024)] = 6,
    augmentation_level: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01)] = 0.0,
) -> PicturePrompt:
    """A film that begins with a picture: more of the motion bucket moves more, augmentation strays further from the picture."""
    import torch

    seen, pixels = _looked_at(clip_vision, init_image, width, height)
    if augmentation_level > 0:  # with a seed of its own: the same picture gives the same film
        pixels = pixels + augmentation_level * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    moves = {"motion_bucket_id": motion_bucket_id, "fps": fps, "augmentation_level": augmentation_level}
    return _prompt(seen, torch.zeros_like(seen), vae.encode(pixels), video_frames, **moves)


@node("StableZero123_Conditioning", category="conditioning/3d_models")
def stable_zero123_conditioning(
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: Side = 256,
    height: Side = 256,
    batch_size: Count4096 = 1,
    elevation: Degrees = 0.0,
    azimuth: Degrees = 0.0,
) -> PicturePrompt:
    """An object from another side: how far the camera goes up and around, in degrees."""
    import torch

    seen, pixels = _looked_at(clip_vision, init_image, width, height)
    from_there = torch.cat([seen, _camera(elevation, azimuth).expand(len(seen), 1, 4)], dim=-1)
    return _prompt(from_there, torch.zeros_like(seen), vae.encode(pixels), batch_size)


@node("StableZero123_Conditioning_Batched", category="conditioning/3d_models")
def stable_zero123_conditioning_batched(
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: Side = 256,
    height: Side = 256,
    batch_size: Count4096 = 1,
    elevation: Degrees = 0.0,
    azimuth: Degrees = 0.0,
    elevation_batch_increment: Degrees = 0.0,
    azimuth_batch_increment: Degrees = 0.0,
) -> PicturePrompt:
    """An object from several sides, each a step further than the one before; all from the same noise."""
    import torch

    seen, pixels = _looked_at(clip_vision, init_image, width, height)
    steps = range(batch_size)
    cameras = [_camera(elevation + i * elevation_batch_increment, azimuth + i * azimuth_batch_increment) for i in steps]
    from_there = torch.cat([seen[:1].expand(batch_size, 1, -1), torch.cat(cameras)], dim=-1)
    positive, negative, latent = _prompt(from_there, torch.zeros_like(seen), vae.encode(pixels), batch_size)
    return PicturePrompt(positive, negative, {**latent, "batch_index": [0] * batch_size})


@node("SV3D_Conditioning", category="conditioning/3d_models")
def sv3d_conditioning(
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: Side = 576,
    height: Side = 576,
    video_frames: Count4096 = 21,
    elevation: Annotated[float, Interval(ge=-90.0, le=90.0), Step(0.1), Round(False)] = 0.0,
) -> PicturePrompt:
    """A turn around an object on white, from its picture: the last frame is the picture's own side. Degrees above the horizon."""
    import torch

    from engine.diffusion.families.sv3d import orbit

    seen, pixels = _looked_at(clip_vision, init_image, width, height)
    cameras = {"elevation": [elevation] * video_frames, "azimuth": orbit(video_frames)}
    return _prompt(seen, torch.zeros_like(seen), vae.encode(pixels), video_frames, **cameras)


@node("SD_4XUpscale_Conditioning", category="conditioning/upscale_diffusion")
def sd_4xupscale_conditioning(
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Strength10 = 4.0,
    noise_augmentation: FineShare = 0.0,
) -> PicturePrompt:
    """Pictures for the Stable Diffusion x4 upscaler, to be drawn that much larger; the noise lets it invent more."""
    import torch

    from engine.diffusion.conditioning import with_options
    from engine.diffusion.pixels.resize import resize

    height, width = (max(1, round(side * scale_ratio) // 4) for side in images.shape[1:3])  # a pixel to each latent cell
    small = resize(images[..., :3].movedim(-1, 1) * 2 - 1, width, height, "bilinear", "center")
    seen = {"concat_image": small, "noise_augmentation": noise_augmentation}
    blank: Latent = {"samples": torch.zeros(len(images), 4, height, width)}
    wanted, unwanted = (Conditioning(with_options(one, **seen)) for one in (positive, negative))
    return PicturePrompt(wanted, unwanted, blank)


def _looked_at(clip_vision: ClipVision, image: Image, width: int, height: int) -> tuple[Tensor, Tensor]:
    """What the image encoder sees (b, 1, C), and the picture at that size, cut around its middle."""
    from engine.diffusion.pixels.resize import resize

    seen = clip_vision.encode(image).image_embeds.unsqueeze(1)
    return seen, resize(image[..., :3].movedim(-1, 1), width, height, "bilinear", "center").movedim(1, -1)


def _prompt(positive: Tensor, negative: Tensor, picture: Tensor, batch: int, **options: float | list[float]) -> PicturePrompt:
    """The two conditionings with the picture's latent, nothing for the negative, and a blank latent of that size."""
    import torch

    wanted = Conditioning([[positive, {**options, "concat_latent_image": picture}]])
    unwanted = Conditioning([[negative, {**options, "concat_latent_image": torch.zeros_like(picture)}]])
    return PicturePrompt(wanted, unwanted, {"samples": torch.zeros(batch, *picture.shape[1:])})


def _camera(elevation: float, azimuth: float) -> Tensor:
    """(1, 1, 4): how the camera moves as Zero123 was told it, in radians; its distance stays."""
    import math

    import torch

    around = math.radians(azimuth)
    return torch.tensor([[[-math.radians(elevation), math.sin(around), math.cos(around), math.pi / 2]]])
