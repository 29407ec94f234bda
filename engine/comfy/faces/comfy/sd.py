"""Loading models, CLIP and VAE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.comfy.coders import CLIP as CLIP
from engine.comfy.coders import VAE as VAE
from engine.comfy.faces.comfy import model_management
from engine.comfy.finder import missing
from engine.comfy.host import current_folders
from engine.comfy.tensor_files import as_file

if TYPE_CHECKING:
    from engine.comfy.faces.comfy.model_patcher import ModelPatcher

__getattr__ = missing(__name__)


class CLIPType(Enum):
    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18
    HUNYUAN_IMAGE = 19


class TEModel(Enum):
    CLIP_L = 1
    CLIP_H = 2
    CLIP_G = 3
    T5_XXL = 4
    T5_XL = 5
    T5_BASE = 6
    LLAMA3_8 = 7
    T5_XXL_OLD = 8


def _place() -> Any:
    return model_management._place()


def _embeddings(name: str) -> Path | None:
    folders = current_folders()
    for known in folders.names("embeddings"):
        if name in (known, known.rsplit(".", 1)[0]):
            return folders.find("embeddings", known)
    return None


def _faces(checkpoint: Any, output_vae: bool = True, output_clip: bool = True, output_model: bool = True) -> tuple[Any, ...]:
    from engine.comfy.faces.comfy.model_patcher import ModelPatcher

    return (
        ModelPatcher.of_engine(checkpoint.model) if output_model else None,
        CLIP.of_engine(checkpoint.clip) if output_clip and checkpoint.clip is not None else None,
        VAE.of_engine(checkpoint.vae) if output_vae and checkpoint.vae is not None else None,
    )


def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: Any = None,
    te_model_options: Any = None,
) -> tuple[Any, ...]:
    """(model, clip, vae, clip vision) of a file."""
    from engine.diffusion.checkpoints import load_checkpoint as load

    return (*_faces(load(Path(ckpt_path), _place(), _embeddings), output_vae, output_clip, output_model), None)


def load_checkpoint(
    config_path: Any = None,
    ckpt_path: str | None = None,
    output_vae: bool = True,
    output_clip: bool = True,
    embedding_directory: Any = None,
    state_dict: Any = None,
    config: Any = None,
) -> tuple[Any, ...]:
    """(model, clip, vae); the config is not needed."""
    from engine.diffusion.checkpoints import load_checkpoint as load

    path = Path(ckpt_path) if ckpt_path is not None else as_file(state_dict)
    return _faces(load(path, _place(), _embeddings), output_vae, output_clip)


def load_state_dict_guess_config(sd: Mapping[str, Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    return load_checkpoint_guess_config(str(as_file(sd)), *args, **{k: v for k, v in kwargs.items() if k != "metadata"})


def load_diffusion_model(unet_path: str, model_options: Any = None) -> ModelPatcher:
    from engine.comfy.faces.comfy.model_patcher import ModelPatcher
    from engine.diffusion.checkpoints import load_denoiser

    return ModelPatcher.of_engine(load_denoiser(Path(unet_path), _place()).model)


def load_diffusion_model_state_dict(sd: Mapping[str, Any], model_options: Any = None, **_: Any) -> ModelPatcher:
    return load_diffusion_model(str(as_file(sd)))


def load_unet(unet_path: str, dtype: Any = None) -> ModelPatcher:
    return load_diffusion_model(unet_path)


load_unet_state_dict = load_diffusion_model_state_dict


def load_clip(ckpt_paths: Sequence[str], embedding_directory: Any = None, clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
              model_options: Any = None) -> CLIP:  # fmt: skip
    from engine.diffusion.checkpoints import load_clip as load

    return CLIP.of_engine(load([Path(path) for path in ckpt_paths], clip_type.name.lower(), _place(), _embeddings))


def load_text_encoder_state_dicts(state_dicts: Sequence[Mapping[str, Any]] = (), embedding_directory: Any = None,
                                  clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
                                  model_options: Any = None) -> CLIP:  # fmt: skip
    return load_clip([str(as_file(one)) for one in state_dicts], None, clip_type)


def load_lora_for_models(
    model: ModelPatcher | None, clip: CLIP | None, lora: Mapping[str, Any], strength_model: float, strength_clip: float
) -> tuple[ModelPatcher | None, CLIP | None]:
    """Both with a LoRA on them; what was given stays as it is."""
    from engine.diffusion.lora import apply_lora

    new_model = model.clone() if model is not None else None
    new_clip = clip.clone() if clip is not None else None
    given = new_model.engine if new_model is not None else None
    changed, changed_clip = apply_lora(given, new_clip.engine if new_clip else None, lora, strength_model, strength_clip)
    if new_model is not None:
        new_model.engine = changed
    if new_clip is not None and changed_clip is not None:
        new_clip.engine = changed_clip
    return new_model, new_clip


def save_checkpoint(*args: Any, **kwargs: Any) -> None:
    raise NotImplementedError("Packs cannot save checkpoints; use the node CheckpointSave. docs/packs.md")
