"""What ComfyUI calls a model's configuration: read-only, of the family a file was recognised as."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


def unet_config(family: Any) -> dict[str, Any]:
    """What ComfyUI calls the parameters of a family's UNet."""
    config = getattr(family, "config", None)
    return {
        "in_channels": getattr(config, "in_channels", family.latent.channels),
        "context_dim": getattr(config, "context", None),
        "adm_in_channels": getattr(config, "vector", None),
        "model_channels": (getattr(config, "channels", None) or (None,))[0],
        "use_linear_in_transformer": bool(getattr(config, "linear", False)),
        "use_temporal_attention": family.name == "svd",
        "transformer_depth": [depth for level in getattr(config, "down", ()) for depth in level],
    }


class BASE:
    """The configuration of a loaded model."""

    unet_config: ClassVar[dict[str, Any]] = {}
    sampling_settings: dict[str, Any]
    supported_inference_dtypes: list[Any]
    memory_usage_factor = 2.0
    manual_cast_dtype = None
    custom_operations = None
    scaled_fp8 = None

    @classmethod
    def of_engine(cls, model: Any) -> Self:
        from engine.comfy.faces.comfy import supported_models
        from engine.comfy.faces.comfy.latent_formats import LatentFormat

        made = object.__new__(supported_models.BY_FAMILY.get(model.family.name, cls))
        made.unet_config = unet_config(model.family)
        made.sampling_settings = {"shift": model.family.prediction.shift, "multiplier": model.family.prediction.multiplier}
        made.supported_inference_dtypes = []
        made.latent_format = LatentFormat.of_engine(model.family.latent)
        return made  # type: ignore[no-any-return]
