"""The values that travel along edges: nominal names over the very objects ComfyUI's nodes pass.

``mypy`` sees the real thing (an Image is a Tensor, but no Mask is an Image). At run time the names are empty, so that reading
250 node signatures never loads torch. The name on the wire follows from the Python name: ``ControlNet`` is ``CONTROL_NET``.
An ``object`` below is a type whose class is not written yet: its author replaces the line by an import from engine.diffusion.
"""

from __future__ import annotations

import re
import types
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, NotRequired, TypedDict, Union, get_args, get_origin

if TYPE_CHECKING:
    from torch import Tensor

    from engine.diffusion.clip import Clip as Clip
    from engine.diffusion.clip_vision import ClipVision as ClipVision
    from engine.diffusion.clip_vision import ClipVisionOutput as ClipVisionOutput
    from engine.diffusion.control import ControlNet as ControlNet
    from engine.diffusion.depth import DepthModel as DepthModel
    from engine.diffusion.diversity_run import Diversity as Diversity
    from engine.diffusion.gligen import Gligen as Gligen
    from engine.diffusion.guidance import Guider as Guider
    from engine.diffusion.hooks import Hooks as Hooks
    from engine.diffusion.hooks import Keyframes
    from engine.diffusion.ip_adapter import IpAdapter as IpAdapter
    from engine.diffusion.model import Model as Model
    from engine.diffusion.photomaker import PhotoMaker
    from engine.diffusion.pixels.operations import Operation
    from engine.diffusion.samplers import Sampler as Sampler
    from engine.diffusion.sampling import LatentNoise
    from engine.diffusion.style_model import StyleModel as StyleModel
    from engine.diffusion.timeline import Timeline as Timeline
    from engine.diffusion.upscale import UpscaleModel as UpscaleModel
    from engine.diffusion.vae import Vae as Vae

    Noise = LatentNoise
    LatentOperation = Operation
    HookKeyframes = Keyframes
    Photomaker = PhotoMaker
    TimestepsRange = tuple[float, float]
    Floats = list[float]
else:
    Tensor = object
    ControlNet = NewType("ControlNet", object)
    Sampler = NewType("Sampler", object)
    Guider = NewType("Guider", object)
    Noise = NewType("Noise", object)
    LatentOperation = NewType("LatentOperation", object)
    Timeline = NewType("Timeline", object)
    Diversity = NewType("Diversity", object)
    Hooks = NewType("Hooks", object)
    HookKeyframes = NewType("HookKeyframes", object)
    TimestepsRange = NewType("TimestepsRange", object)
    Floats = NewType("Floats", object)
    StyleModel = NewType("StyleModel", object)
    Gligen = NewType("Gligen", object)
    Photomaker = NewType("Photomaker", object)
    IpAdapter = NewType("IpAdapter", object)
    DepthModel = NewType("DepthModel", object)
    Model = NewType("Model", object)
    Clip = NewType("Clip", object)
    ClipVision = NewType("ClipVision", object)
    ClipVisionOutput = NewType("ClipVisionOutput", object)
    UpscaleModel = NewType("UpscaleModel", object)
    Vae = NewType("Vae", object)

# Pixels. Image is float32 (B, H, W, C) in 0..1, Mask is (B, H, W) or (H, W), Sigmas is 1-D and ends in 0.
Image = NewType("Image", Tensor)
Mask = NewType("Mask", Tensor)
Sigmas = NewType("Sigmas", Tensor)


class Latent(TypedDict):
    """A latent picture or clip: ``samples`` is (B, C, H, W) or (B, C, T, H, W)."""

    samples: Tensor
    noise_mask: NotRequired[Tensor]
    batch_index: NotRequired[list[int]]
    type: NotRequired[str]
    vae: NotRequired[str]  # whose VAE made it, or is to: latents of other families look alike and decode to wrong colours


class Audio(TypedDict):
    """A clip of sound: ``waveform`` is (B, channels, T)."""

    waveform: Tensor
    sample_rate: int


# Text and other conditions: (embedding, options) pairs. Options have ComfyUI's keys: pooled_output, area, mask, strength ...
Conditioning = NewType("Conditioning", list[Any])

# Networks and their parts.
ModelPatch = NewType("ModelPatch", object)
LoraModel = NewType("LoraModel", object)
AudioEncoder = NewType("AudioEncoder", object)
AudioEncoderOutput = NewType("AudioEncoderOutput", object)

# Film and space.
Video = NewType("Video", object)
Voxel = NewType("Voxel", object)
Mesh = NewType("Mesh", object)
Camera = NewType("Camera", object)

SamplerName = Literal[
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral",
    "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu",
    "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp",
    "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp",
    "er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
]  # fmt: skip
SchedulerName = Literal[
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic", "kl_optimal"
]

# Names that do not follow the rule.
WIRE_NAMES = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN", Any: "*", Camera: "LOAD3D_CAMERA"}


@cache
def wire_name(kind: Any) -> str:
    """What a type is called in ``/object_info``: IMAGE, CLIP_VISION, ``*`` for Any, ``IMAGE,MASK`` for a union."""
    if kind in WIRE_NAMES:
        return WIRE_NAMES[kind]
    origin = get_origin(kind)
    if origin is Annotated:
        return wire_name(get_args(kind)[0])
    if origin is Literal:
        return "COMBO"
    if origin in (Union, types.UnionType):
        return ",".join(dict.fromkeys(wire_name(part) for part in get_args(kind) if part is not types.NoneType))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).upper()


# Types that only a link can bring: a literal in their place is a mistake. Other packs' types may have a widget of their own.
EDGE_TYPES = frozenset(
    wire_name(kind) for kind in list(globals().values()) if isinstance(kind, NewType) or kind in (Latent, Audio)
) - {"LOAD3D_CAMERA"}
