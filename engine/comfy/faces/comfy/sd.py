"""CLIP and VAE, and loading them: ComfyUI's methods over the engine's immutable values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine.comfy.faces.comfy import model_management
from engine.comfy.finder import missing
from engine.comfy.host import current_folders
from engine.comfy.tensor_files import as_file

if TYPE_CHECKING:
    from torch import Tensor

    from engine.comfy.faces.comfy.model_patcher import ModelPatcher
    from engine.diffusion.clip import Clip
    from engine.diffusion.vae import Vae

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


class _Devices:
    """What packs ask of ``clip.patcher`` and ``vae.patcher``."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.model_options: dict[str, Any] = {"transformer_options": {}}

    @property
    def load_device(self) -> Any:
        return model_management.get_torch_device()

    @property
    def offload_device(self) -> Any:
        return model_management.unet_offload_device()

    @property
    def model(self) -> Any:
        return self.owner.first_stage_model if hasattr(self.owner, "first_stage_model") else self.owner.cond_stage_model

    def load_network(self) -> Any:
        return self.model

    def model_size(self) -> int:
        return sum(part.nbytes for part in getattr(self.owner.engine, "parts", None) or [self.owner.engine.part])

    def clone(self) -> Self:
        return type(self)(self.owner)


class CondStage:
    """``cond_stage_model``: the towers by name."""

    def __init__(self, owner: CLIP) -> None:
        self.owner = owner

    def __getattr__(self, name: str) -> Any:
        for tower in self.owner.engine.towers:
            if name in (tower.name, f"clip_{tower.name}", tower.part.role):
                return self.owner.engine.place(tower.part, self.owner.engine.patches)
        raise AttributeError(name)

    def reset_clip_options(self) -> None:
        """The engine's text encoders have no state."""


class CLIP:
    """The text encoders. ``clip_layer`` and LoRAs change this face; what it is made of is shared."""

    def __init__(self, target: Any = None, embedding_directory: Any = None, no_init: bool = False, **_: Any) -> None:
        self.engine: Clip = None  # type: ignore[assignment]
        self.layer_idx: int | None = None
        self.use_clip_schedule = False
        self.patcher = _Devices(self)

    @classmethod
    def of_engine(cls, engine: Clip) -> Self:
        made = cls(no_init=True)
        made.engine, made.layer_idx = engine, engine.last_layer
        return made

    def to_engine(self) -> Clip:
        return self.engine

    def clone(self) -> Self:
        return type(self).of_engine(self.engine)

    @property
    def cond_stage_model(self) -> CondStage:
        return CondStage(self)

    @property
    def tokenizer(self) -> Any:
        return self.engine

    def clip_layer(self, layer_idx: int) -> None:
        self.layer_idx = layer_idx
        self.engine = self.engine.with_last_layer(layer_idx)

    def tokenize(self, text: str, return_word_ids: bool = False, **kwargs: Any) -> Any:
        """Rows of (token, weight) by tower."""
        tokens = self.engine.tokenize(text)
        if not return_word_ids:
            return tokens
        return {name: [[(*token, i) for i, token in enumerate(row)] for row in rows] for name, rows in tokens.items()}

    def encode_from_tokens(self, tokens: Any, return_pooled: Any = False, return_dict: bool = False) -> Any:
        """The embedding; with its pooled form, or as a dict."""
        cond, options = self.engine.encode(_tokens(tokens))[0]
        pooled = options.get("pooled_output")
        if return_dict:
            return {"cond": cond, "pooled_output": pooled}
        return (cond, pooled) if return_pooled else cond

    def encode_from_tokens_scheduled(
        self, tokens: Any, unprojected: bool = False, add_dict: Mapping[str, Any] | None = None, show_pbar: bool = True
    ) -> list[list[Any]]:
        """A conditioning."""
        return self.engine.encode(_tokens(tokens), **(add_dict or {}))

    def encode(self, text: str) -> Any:
        return self.encode_from_tokens(self.tokenize(text))

    def set_tokenizer_option(self, option_name: str, value: Any) -> None:
        """Accepted; the engine's tokenizers have no options."""

    def load_model(self) -> Any:
        return self.patcher

    def get_model(self) -> CondStage:
        return self.cond_stage_model

    def get_sd(self) -> dict[str, Any]:
        return {f"{part.role}.transformer.{name}": weight for part in self.engine.parts for name, weight in part.stored.items()}

    def add_patches(self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0) -> list[Any]:
        from engine.comfy.weights import adapter_of
        from engine.diffusion.patches import Patch

        taken: list[Any] = []
        for part in self.engine.parts:
            adapter, names = adapter_of(patches, part, strength_model)
            if adapter is not None:
                self.engine = self.engine.with_patches((*self.engine.patches, Patch(adapter, strength_patch)))
                taken += names
        return taken

    def get_key_patches(self) -> dict[str, Any]:
        return {name: [(weight, lambda w: w)] for name, weight in self.get_sd().items()}


def _tokens(tokens: Any) -> Any:
    """Rows as the engine has them: word ids off, plain tuples as tokens."""
    from engine.diffusion.text.chunks import Token

    return {name: [[Token(*token[:2]) for token in row] for row in rows] for name, rows in tokens.items()}


class VAE:
    """The autoencoder of a picture."""

    def __init__(self, sd: Mapping[str, Any] | None = None, device: Any = None, config: Any = None, dtype: Any = None,
                 metadata: Any = None) -> None:  # fmt: skip
        self.patcher = _Devices(self)
        if sd is not None:
            from engine.diffusion.checkpoints import load_vae

            self.engine: Vae = load_vae(as_file(sd), _place()).with_dtype(dtype)

    @classmethod
    def of_engine(cls, engine: Vae) -> Self:
        made = cls()
        made.engine = engine
        return made

    def to_engine(self) -> Vae:
        return self.engine

    def encode(self, pixel_samples: Tensor) -> Tensor:
        return self.engine.encode(pixel_samples)

    def decode(self, samples_in: Tensor, vae_options: Any = None) -> Tensor:
        return self.engine.decode(samples_in)

    def encode_tiled(self, pixel_samples: Tensor, tile_x: int | None = None, tile_y: int | None = None,
                     overlap: int | None = None, tile_t: Any = None, overlap_t: Any = None) -> Tensor:  # fmt: skip
        """Tiles are measured in pixels."""
        return self.engine.encode_tiled(pixel_samples, tile_x or 512, overlap if overlap is not None else 64)

    def decode_tiled(self, samples: Tensor, tile_x: int | None = None, tile_y: int | None = None,
                     overlap: int | None = None, tile_t: Any = None, overlap_t: Any = None) -> Tensor:  # fmt: skip
        """Tiles are measured in latent cells."""
        cell = self.engine.spatial
        return self.engine.decode_tiled(samples, (tile_x or 64) * cell, (overlap if overlap is not None else 8) * cell)

    def spacial_compression_encode(self) -> int:
        return self.engine.spatial

    def spacial_compression_decode(self) -> int:
        return self.engine.spatial

    def temporal_compression_decode(self) -> None:
        return None

    def memory_used_decode(self, shape: Sequence[int], dtype: Any) -> float:
        return float(2178.0 * shape[-1] * shape[-2] * 64 * dtype.itemsize)

    def memory_used_encode(self, shape: Sequence[int], dtype: Any) -> float:
        return float(1767.0 * shape[-1] * shape[-2] * dtype.itemsize)

    def throw_exception_if_invalid(self) -> None:
        """A VAE that could be loaded is one."""

    def process_input(self, image: Tensor) -> Tensor:
        return image * 2.0 - 1.0

    def process_output(self, image: Tensor) -> Tensor:
        return image.add(1.0).div(2.0).clamp(0.0, 1.0)

    def get_sd(self) -> dict[str, Any]:
        return dict(self.engine.part.stored)

    @property
    def first_stage_model(self) -> Any:
        return self.engine.place(self.engine.part, dtype=self.engine.dtype)

    @property
    def latent_channels(self) -> int:
        return self.engine.channels

    @property
    def downscale_ratio(self) -> int:
        return self.engine.spatial

    @property
    def upscale_ratio(self) -> int:
        return self.engine.spatial

    @property
    def vae_dtype(self) -> Any:
        return self.engine.dtype or model_management.vae_dtype()

    @property
    def device(self) -> Any:
        return model_management.vae_device()

    @property
    def offload_device(self) -> Any:
        return model_management.vae_offload_device()

    @property
    def output_device(self) -> Any:
        return model_management.intermediate_device()


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
