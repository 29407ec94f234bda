"""CLIP and VAE: ComfyUI's methods over the engine's immutable values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from engine.comfy.faces.comfy import model_management
from engine.comfy.tensor_files import as_file

if TYPE_CHECKING:
    from torch import Tensor

    from engine.diffusion.clip import Clip
    from engine.diffusion.vae import Vae


class Devices:
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
        self.patcher = Devices(self)

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
        self.patcher = Devices(self)
        if sd is not None:
            from engine.diffusion.checkpoints import load_vae

            self.engine: Vae = load_vae(as_file(sd), model_management._place()).with_dtype(dtype)

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
