"""The inner model of a ModelPatcher: network, latent format, noise levels."""

from __future__ import annotations

from enum import Enum
from typing import Any, Self

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class ModelType(Enum):
    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


KINDS = {"eps": "EPS", "v": "V_PREDICTION", "edm": "EDM", "edm_v": "V_PREDICTION_EDM", "flow": "FLOW", "x0": "IMG_TO_IMG"}


class BaseModel:
    """Looks at the patcher it belongs to; what it says is always of the model as patched by now."""

    _owner: Any

    @classmethod
    def of_engine(cls, owner: Any) -> Self:
        kind: Any = BY_FAMILY.get(owner.engine.family.name, cls)
        made: Self = object.__new__(kind)
        made._owner = owner
        return made

    @property
    def engine(self) -> Any:
        return self._owner.engine

    @property
    def diffusion_model(self) -> Any:
        return self.engine.network()

    @property
    def latent_format(self) -> Any:
        from engine.comfy.faces.comfy.latent_formats import LatentFormat

        return LatentFormat.of_engine(self.engine.family.latent)

    @property
    def model_sampling(self) -> Any:
        from engine.comfy.faces.comfy.model_sampling import ModelSampling

        return ModelSampling.of_engine(self.engine.sampling)

    @property
    def model_type(self) -> ModelType:
        return ModelType[KINDS[self.engine.family.prediction.kind]]

    @property
    def model_config(self) -> Any:
        from engine.comfy.faces.comfy.supported_models_base import BASE

        return BASE.of_engine(self.engine)

    @property
    def device(self) -> Any:
        return self._owner.load_device

    @property
    def adm_channels(self) -> int:
        return int(getattr(getattr(self.engine.family, "config", None), "vector", None) or 0)

    @property
    def current_patcher(self) -> Any:
        return self._owner

    manual_cast_dtype = None
    memory_usage_factor = 2.0

    def get_dtype(self) -> Any:
        from engine.diffusion.parts import working_dtype

        return working_dtype(self.diffusion_model)

    def process_latent_in(self, latent: Any) -> Any:
        return self.engine.family.latent.inside(latent)

    def process_latent_out(self, latent: Any) -> Any:
        return self.engine.family.latent.outside(latent)

    def memory_required(self, input_shape: Any) -> float:
        """Bytes a call needs for its values, roughly."""
        area = input_shape[0] * input_shape[-1] * input_shape[-2]
        return float(area * 2048 * self.memory_usage_factor)

    def apply_model(self, x: Any, t: Any, c_concat: Any = None, c_crossattn: Any = None, control: Any = None,
                    transformer_options: Any = None, **kwargs: Any) -> Any:  # fmt: skip
        """The clean latent the network sees in ``x`` at sigma ``t``."""
        engine = self.engine
        inputs = {"context": c_crossattn, "concat": c_concat, "pooled": kwargs.get("y"), **kwargs}
        given = {name: value for name, value in inputs.items() if value is not None and name != "y"}
        scaled = engine.sampling.scale_input(x, t)
        timestep = engine.sampling.timestep(t.cpu()).to(x)
        said = engine.family.forward(engine.network(), scaled, timestep, given)
        return engine.sampling.denoised(x, said.float(), t)

    def state_dict(self) -> dict[str, Any]:
        return {f"diffusion_model.{name}": weight for name, weight in self.engine.part.stored.items()}

    def is_adm(self) -> bool:
        return self.adm_channels > 0


class SDXL(BaseModel):
    """Stable Diffusion XL."""


class SDXLRefiner(BaseModel):
    """Its refiner."""


class Flux(BaseModel):
    """FLUX."""


class SD3(BaseModel):
    """Stable Diffusion 3."""


class WAN21(BaseModel):
    """Wan."""


class LTXV(BaseModel):
    """LTX Video."""


class HunyuanVideo(BaseModel):
    """HunyuanVideo."""


class SVD_img2vid(BaseModel):
    """Stable Video Diffusion."""


class Lumina2(BaseModel):
    """Lumina 2."""


class QwenImage(BaseModel):
    """Qwen Image."""


BY_FAMILY = {
    "sdxl": SDXL, "sdxl_refiner": SDXLRefiner, "flux": Flux, "sd3": SD3, "wan": WAN21, "ltxv": LTXV,
    "hunyuan_video": HunyuanVideo, "svd": SVD_img2vid, "lumina2": Lumina2, "qwen_image": QwenImage,
}  # fmt: skip
