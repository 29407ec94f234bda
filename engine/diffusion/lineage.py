"""Whose a model file is, told from the names and shapes in its header: fit for a list of hundreds of files.

Unlike ``inspection``, which binds a file to a family this engine runs, this also names families it does not run, and
tells whose a LoRA, a VAE or a ControlNet is, so that an editor can say at the wire that two files do not go together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Shapes = Mapping[str, tuple[int, ...]]
Kind = Literal["checkpoint", "denoiser", "lora", "vae", "controlnet", "embedding", "other"]


@dataclass(frozen=True)
class Lineage:
    """What is known without reading a weight. ``family`` is None where files of several families look alike."""

    kind: Kind
    family: str | None = None  # "sdxl"
    title: str | None = None  # "Stable Diffusion XL"
    channels: int | None = None  # of the latents it makes or takes

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


FAMILIES: Mapping[str, tuple[str, int]] = {
    "sd1": ("Stable Diffusion 1", 4),
    "sd2": ("Stable Diffusion 2", 4),
    "sd_x4": ("Stable Diffusion x4 upscaler", 4),
    "sdxl": ("Stable Diffusion XL", 4),
    "sdxl_refiner": ("Stable Diffusion XL refiner", 4),
    "svd": ("Stable Video Diffusion", 4),
    "sd3": ("Stable Diffusion 3", 16),
    "auraflow": ("AuraFlow", 4),
    "pixart": ("PixArt", 4),
    "flux": ("Flux", 16),
    "flux2": ("Flux 2", 32),
    "chroma": ("Chroma", 16),
    "hidream": ("HiDream", 16),
    "qwen_image": ("Qwen-Image", 16),
    "z_image": ("Z-Image", 16),
    "lumina2": ("Lumina 2", 16),
    "hunyuan_video": ("HunyuanVideo", 16),
    "wan": ("Wan", 16),
    "wan22_5b": ("Wan 2.2 5B", 48),
    "ltxv": ("LTX-Video", 128),
}
"""Name -> title for people, channels of its latents."""

CONTEXTS = {768: "sd1", 1024: "sd2", 1280: "sdxl_refiner", 2048: "sdxl"}
"""Width of the text that the cross attention of Stable Diffusion's UNets listens to."""

# The first whose every pattern is met; of transformers, in their original names or in diffusers'.
TRANSFORMERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("chroma", (r"distilled_guidance_layer\.",)),
    ("flux2", (r"single_stream_modulation",)),
    ("hunyuan_video", (r"txt_in\.individual_token_refiner",)),
    ("hunyuan_video", (r"context_embedder\.token_refiner",)),
    ("flux", (r"double_blocks\.\d+\.img_(attn|mod)", r"single_blocks\.\d+\.")),
    ("flux", (r"single_transformer_blocks\.\d+\.", r"(^|\.)transformer_blocks\.\d+\.")),
    ("sd3", (r"joint_blocks\.\d+\.",)),
    ("auraflow", (r"double_layers\.\d+\.attn\.w1q",)),
    ("hidream", (r"double_stream_blocks\.\d+\.",)),
    ("qwen_image", (r"txt_norm\.weight", r"transformer_blocks\.\d+\.attn\.add_q_proj")),
    ("z_image", (r"cap_pad_token",)),
    ("lumina2", (r"cap_embedder\.|time_caption_embed\.", r"noise_refiner\.\d+\.")),
    ("wan", (r"head\.modulation", r"blocks\.\d+\.(self|cross)_attn\.")),
    ("ltxv", (r"adaln_single\.", r"patchify_proj\.")),
    ("pixart", (r"adaln_single\.", r"caption_projection\.y_embedding|pos_embed\.proj")),
    ("sd3", (r"transformer_blocks\.\d+\.attn\.add_q_proj", r"context_embedder\.")),
)

# The same of LoRAs, which hold a part of the names, joined by dots or by underscores.
ADAPTED: tuple[tuple[str, str], ...] = (
    ("flux2", r"single_stream_modulation|double_stream_modulation_img"),
    ("hunyuan_video", r"individual_token_refiner|img_attn_qkv|double_blocks[._]\d+[._]img_attn_(q|k|v)\b"),
    ("flux", r"(^|[._])double_blocks[._]\d+[._]|(^|[._])single_blocks[._]\d+[._]linear|single_transformer_blocks[._]\d+"),
    ("sd3", r"joint_blocks[._]\d+"),
    ("hidream", r"double_stream_blocks[._]\d+"),
    ("qwen_image", r"transformer_blocks[._]\d+[._](img_mlp|txt_mlp|img_mod|txt_mod)"),
    ("z_image", r"(noise_refiner|context_refiner)[._]\d+|(^|[._])layers[._]\d+[._]attention[._](to_|qkv)"),
    ("wan", r"(^|[._])blocks[._]\d+[._](self|cross)_attn[._][qkvo]\b"),
)

CROSS = re.compile(r"attn2[._]to_[kv][._].*?(lora_down|lora_A|lora\.down|hada_w1_b|hada_w1_a|weight$)")
VAES = ("", "first_stage_model.", "vae.", "model.vae.")


def lineage(path: Path) -> Lineage:
    """Whose a file is; kind "other" for one that says nothing. Raises CheckpointError if it cannot be read."""
    return of_shapes(shapes(path))


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a file's tensors, from its header alone where it has one."""
    from engine.diffusion.containers import CheckpointError, read_tensors
    from engine.diffusion.containers.safetensors import looks_like_safetensors, read_header

    try:
        with path.open("rb") as file:
            start = file.read(16)
        nbytes = path.stat().st_size
    except OSError as error:
        raise CheckpointError(path, f"cannot be opened: {error.strerror}") from error
    if not looks_like_safetensors(start):
        return {name: tuple(tensor.shape) for name, tensor in read_tensors(path).tensors.items()}
    header, _ = read_header(path, nbytes)
    found = {name: entry.get("shape") for name, entry in header.items() if isinstance(entry, dict) and name != "__metadata__"}
    return {name: tuple(shape) for name, shape in found.items() if isinstance(shape, list)}


def of_shapes(tensors: Shapes) -> Lineage:
    """The lineage of a file with these tensors."""
    for find in (_adapter, _control, _denoiser, _vae, _embedding):
        found = find(tensors)
        if found is not None:
            return found
    return Lineage("other")


def _named(kind: Kind, family: str | None) -> Lineage:
    if family is None:
        return Lineage(kind)
    title, channels = FAMILIES[family]
    return Lineage(kind, family, title, channels)


def _any(names: Iterable[str], pattern: str) -> bool:
    expression = re.compile(pattern)
    return any(expression.search(name) for name in names)


def _adapter(tensors: Shapes) -> Lineage | None:
    """A LoRA or one of its kin."""
    if not _any(tensors, r"lora_(down|up|A|B)\b|\.lora\.(down|up)\.|\.(hada_w1|lokr_w1|oft_blocks)|_lora\.(down|up)\."):
        return None
    if _any(tensors, r"^(lora_controlnet|control_model)"):
        return None  # a control LoRA is a ControlNet
    for family, pattern in ADAPTED:
        if _any(tensors, pattern):
            return _named("lora", family)
    return _named("lora", _listens(tensors, CROSS.search))


def _listens(tensors: Shapes, wanted: Callable[[str], Any]) -> str | None:
    """Whose UNet it is by the width of the text its cross attention listens to."""
    widths = {shape[1] for name, shape in tensors.items() if len(shape) >= 2 and wanted(name)}
    found = {CONTEXTS[width] for width in widths if width in CONTEXTS}
    return found.pop() if len(found) == 1 else None


def _control(tensors: Shapes) -> Lineage | None:
    if not _any(tensors, r"input_hint_block\.|controlnet_cond_embedding\.|^controlnet_|lora_controlnet"):
        return None
    for family, patterns in TRANSFORMERS:
        if all(_any(tensors, pattern) for pattern in patterns):
            return _named("controlnet", family)
    return _named("controlnet", _listens(tensors, lambda name: name.endswith("attn2.to_k.weight")))


def _denoiser(tensors: Shapes) -> Lineage | None:
    family = _unet(tensors)
    if family is None:
        family = next((name for name, patterns in TRANSFORMERS if all(_any(tensors, pattern) for pattern in patterns)), None)
    if family == "wan" and any(name.endswith("patch_embedding.weight") and shape[1] == 48 for name, shape in tensors.items()):
        family = "wan22_5b"
    if family is None:
        return None
    whole = _any(tensors, r"^(first_stage_model|vae|cond_stage_model|conditioner|text_encoders)\.")
    return _named("checkpoint" if whole else "denoiser", family)


def _unet(tensors: Shapes) -> str | None:
    """Whose UNet there is, in the original names or in diffusers', by its make: widths vary."""
    unet = re.compile(r"(^|\.)(input_blocks|output_blocks|middle_block|down_blocks|up_blocks|mid_block)\.")
    shapes = {name: shape for name, shape in tensors.items() if unet.search(name)}
    contexts = {shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) == 2}
    if len(contexts) != 1:
        return None
    if any(".time_stack." in name for name in shapes):
        return "svd"
    if _any(tensors, r"(^|\.)(label_emb|class_embedding)\.weight$"):
        return "sd_x4"
    vector = re.compile(r"(^|\.)(label_emb\.0\.0|add_embedding\.linear_1)\.weight$")
    vectors = [shape[1] for name, shape in tensors.items() if vector.search(name)]
    if vectors and contexts != {1024}:  # SD 2.1 unCLIP has a vector too
        return "sdxl_refiner" if vectors[0] == contexts.pop() + 5 * 256 else "sdxl"
    return "sd2" if any(name.endswith("proj_in.weight") and len(shape) == 2 for name, shape in shapes.items()) else "sd1"


def _vae(tensors: Shapes) -> Lineage | None:
    """A VAE says how many channels its latents have, which several families share."""
    for prefix in VAES:
        shape = tensors.get(f"{prefix}decoder.conv_in.weight") or tensors.get(f"{prefix}decoder.conv_in.conv.weight")
        if shape is not None and len(shape) >= 2:
            return Lineage("vae", channels=shape[1])
        if (shape := tensors.get(f"{prefix}decoder.conv1.weight")) is not None and len(shape) == 5:
            return Lineage("vae", channels=shape[1])  # Wan's
    return None


def _embedding(tensors: Shapes) -> Lineage | None:
    """A textual inversion: the width of its vectors is that of the text encoder."""
    if "clip_g" in tensors and "clip_l" in tensors:
        return _named("embedding", "sdxl")
    if (shape := tensors.get("emb_params") or tensors.get("*")) is not None:
        return _named("embedding", {768: "sd1", 1024: "sd2"}.get(shape[-1]))
    return None
