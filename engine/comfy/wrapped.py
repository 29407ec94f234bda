"""Calls of a network that go through packs: ``model_function_wrapper``, ``APPLY_MODEL`` and ``DIFFUSION_MODEL`` wrappers.

They see noisy latents, sigmas and clean results; what the network sees and says is worked out from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.comfy.running import executor, wrappers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.diffusion.families.family import Family, Inputs, Residuals

WORDS = {"context": "c_crossattn", "concat": "c_concat", "pooled": "y"}
"""What ComfyUI calls a network's inputs; its network itself says ``context``."""


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A family whose network calls go through what ``owner`` has on it."""

    family: Family
    function: Callable[..., Any] | None
    owner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.family, name)

    def forward(
        self, network: nn.Module, x: Tensor, timestep: Tensor, inputs: Inputs, residuals: Residuals | None = None
    ) -> Tensor:
        sampling = self.owner.engine.sampling
        sigma = sampling.sigma(timestep.detach().cpu()).to(x)
        noisy = x / sampling.scale_input(x.new_ones(x.shape), sigma)
        rows = [int(name == "negative") for name, _ in getattr(network, "asked_for", ())] or [0] * len(x)
        options = {**self.owner.model_options["transformer_options"], "cond_or_uncond": rows, "sigmas": sigma}
        conds = {**{WORDS.get(name, name): value for name, value in inputs.items()}, "transformer_options": options}
        apply = Apply(self, network, inputs, residuals)
        if self.function is not None:
            denoised = self.function(apply, {"input": noisy, "timestep": sigma, "c": conds, "cond_or_uncond": rows})
        else:
            denoised = apply(noisy, sigma, **conds)
        nothing = sampling.denoised(noisy, noisy.new_zeros(noisy.shape), sigma)
        slope = sampling.denoised(noisy, noisy.new_ones(noisy.shape), sigma) - nothing
        said: Tensor = (denoised - nothing) / slope
        return said


@dataclass(frozen=True, eq=False)
class Apply:
    """``apply_model``: the clean latent the network sees in ``input`` at sigma."""

    wrapped: Wrapped
    network: nn.Module
    inputs: Inputs
    residuals: Residuals | None

    def __call__(self, input: Tensor, sigmas: Tensor, **conds: Any) -> Tensor:
        owner = self.wrapped.owner
        result: Tensor = executor(self.apply, owner.model, wrappers(owner, "apply_model")).execute(input, sigmas, **conds)
        return result

    def apply(self, input: Tensor, sigmas: Tensor, c_concat: Any = None, c_crossattn: Any = None, control: Any = None,
              transformer_options: Any = None, **more: Any) -> Tensor:  # fmt: skip
        owner = self.wrapped.owner
        sampling = owner.engine.sampling
        scaled, timesteps = sampling.scale_input(input, sigmas), sampling.timestep(sigmas.cpu()).to(input)
        words = {**more, **({"c_concat": c_concat} if c_concat is not None else {})}
        inner = executor(self.call, self.network, wrappers(owner, "diffusion_model"))
        said = inner.execute(scaled, timesteps, c_crossattn, transformer_options=transformer_options, **words)
        result: Tensor = sampling.denoised(input, said.float(), sigmas)
        return result

    def call(self, x: Tensor, timesteps: Tensor, context: Any = None, transformer_options: Any = None, **more: Any) -> Tensor:
        """The network; what nobody replaced is as it was."""
        told: Mapping[str, Any] = {**more, "c_crossattn": context}
        given = {name: told.get(WORDS.get(name, name), value) for name, value in self.inputs.items()}
        return self.wrapped.family.forward(self.network, x, timesteps, given, self.residuals)
