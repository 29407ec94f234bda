"""How the names in a model file fall into parts, and what a file is that holds none."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.diffusion.parts import Part, Tensors, under

DENOISER = ("model.diffusion_model.", "model.model.", "model.", "diffusion_model.", "")
"""Where the denoiser lies; the first under which a family recognises it."""

VAE = ("first_stage_model.", "vae.", "conditioner.embedders.1.encoder.", "")
"""Where the VAE lies. In Stable Video 3D the usual place has a decoder alone; its encoder's copy of the VAE is whole."""

STRAY = re.compile(
    r"""^(
        model_ema\..* | ema\..*                                       # training's running average
      | (model\.)?(alphas_cumprod.*|betas|sqrt_.*|log_one_minus.*|posterior_.*|logvar|lvlb_weights|scale_factor)
      | global_step | epoch | lr_schedulers.* | denoiser\.sigmas
      | v_pred | ztsnr | edm_mean | edm_std | edm_vpred\..*           # flags, read by the families
      | (first_stage_model|vae)\.(loss\..*|model_ema\..*|logvar)
      | cond_stage_model\.(logit_scale|model\.attn_mask|model\.logit_scale|tokenizer.*)
      | embedding_manager\..*
      | .*\.(position_ids|logit_scale|num_batches_tracked)
      | conditioner\.embedders\.\d+\.(vocab_size|model\.attn_mask)
      | embedder\.(?!model\.visual\.).* | noise_augmentor\..*          # unCLIP, beside its image tower
      | low_scale_model\..*                                          # the x4 upscaler's noise, a known formula
      | conditioner\.embedders\.0\.open_clip\.model\.(?!visual\.).*   # Stable Video Diffusion, the same
      | conditioner\.embedders\.[1-9]\.encoder\..*                    # and its second copy of the VAE
    )$""",
    re.VERBOSE,
)
"""Names that carry nothing a picture is made from. Any other name nobody claims is an error."""

WORDS_HALF = re.compile(r"^cond_stage_model\.(?!model\.visual\.)")
"""The half of its CLIP that reads words, in files of models that only look at pictures (Zero123)."""

WITHIN: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("vae", re.compile(r"^(loss\.|model_ema\.|logvar$)")),
    ("clip_", re.compile(r"^(vision_model\.|visual\.|visual_projection\.|(logit_scale|logit_bias|attn_mask)$)")),
)
"""What lies beside the weights of a part in a file of its own: training's loss, the half of a CLIP that sees."""

CHECKPOINT = re.compile(r"^model\.diffusion_model\.")

KINDS: tuple[tuple[str, str], ...] = (
    (r"^lora_controlnet$|^(adapter\.)?body\.\d+\.(block1|in_conv|resnets)\.", "a ControlNet: put it into models/controlnet"),
    (r"^lllite_unet_", "a ControlNet-LLLite: put it into models/controlnet and use Apply LLLite"),
    (r"^image_proj\.|^ip_adapter\.", "an IP-Adapter: put it into models/ipadapter and use Load IP-Adapter"),
    (r"^position_net\.|\.fuser\.linear\.", "a GLIGEN: put it into models/gligen and use GLIGENLoader"),
    (r"^(style_embedding|redux_up\.weight)$", "a style model: put it into models/style_models and use Load Style Model"),
    (r"^(id_encoder\.|fuse_module\.)", "a PhotoMaker: put it into models/photomaker and use PhotoMakerLoader"),
    (r"(^|\.)lora_|\.lora[_.]|\.(hada|lokr|oft)_|\.alpha$|\.diff$", "a LoRA: put it into models/loras and use Load LoRA"),
    (r"^control_model\.|controlnet_cond_embedding|^controlnet_", "a ControlNet: put it into models/controlnet"),
    (r"^(emb_params|string_to_param.*|clip_[lgh])$", "a textual inversion: put it into models/embeddings, write embedding:name"),
    (
        r"^(body\.\d+\.(rdb|weight$)|model\.\d+\.sub\.|RRDB)",
        "an upscaler: put it into models/upscale_models and use Load Upscale Model",
    ),
    (r"^(decoder|encoder)\.(conv_in|mid|mid_block)|^first_stage_model\.", "a VAE: put it into models/vae and use Load VAE"),
    (r"^vision_model\.|^visual\.", "an image encoder: put it into models/clip_vision and use Load CLIP Vision"),
    (r"text_model\.|^transformer\.resblocks|^shared\.weight|^encoder\.block\.", "a text encoder: use Load CLIP"),
)


def candidates(tensors: Tensors, prefixes: Iterable[str]) -> Iterable[tuple[str, Tensors]]:
    """Prefix and tensors under it, where there are any."""
    for prefix in prefixes:
        inner = under(tensors, prefix)
        if inner:
            yield prefix, inner


def strangers(names: Iterable[str]) -> list[str]:
    """Those names that are neither known strays nor anything else."""
    return [name for name in names if not STRAY.match(name)]


def superseded(names: Iterable[str], vae: str) -> set[str]:
    """The half of a VAE in the usual place, where the whole one lies under ``vae``."""
    return {name for name in names if name.startswith(VAE[0])} if vae.startswith("conditioner.") else set()


def strangers_in(part: Part) -> list[str]:
    """The names stored with a part that are neither its weights nor known strays."""
    used = {row.source for row in part.keymap}
    left = strangers(name for name in part.stored if name not in used)
    return [name for name in left if not any(part.role.startswith(role) and names.match(name) for role, names in WITHIN)]


def kind(names: Iterable[str]) -> str | None:
    """What a file without a known denoiser seems to be and where it belongs; None if that cannot be told."""
    names = list(names)
    for pattern, description in KINDS:
        if any(re.search(pattern, name) for name in names):
            return description
    return None


def elsewhere(names: Iterable[str], wanted: str) -> str:
    """The end of a sentence that says what a file is not: what it is and where it belongs, or that ``wanted`` is to be chosen."""
    names = list(names)
    whole = any(CHECKPOINT.match(name) for name in names)
    found = "a checkpoint: put it into models/checkpoints and use Load Checkpoint" if whole else kind(names)
    return f"; this looks like {found}" if found else f". Choose {wanted}"
