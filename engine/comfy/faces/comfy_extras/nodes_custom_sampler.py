"""Nodes of ComfyUI that are ours as well."""

from typing import Any

from engine.comfy.faces.comfy.samplers import CFGGuider
from engine.comfy.faces.comfy_extras import classes

__getattr__ = classes(__name__)


class Noise_EmptyNoise:
    """No noise at all."""

    def __init__(self) -> None:
        self.seed = 0

    def generate_noise(self, input_latent: dict[str, Any]) -> Any:
        return input_latent["samples"].new_zeros(input_latent["samples"].shape)


class Noise_RandomNoise:
    """The noise of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_noise(self, input_latent: dict[str, Any]) -> Any:
        from engine.diffusion.sampling import RandomNoise

        latent: Any = input_latent
        return RandomNoise(self.seed).generate_noise(latent)


DISABLE_NOISE = "disable"
Guider_Basic = CFGGuider
