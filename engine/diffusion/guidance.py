"""Many predictions to one: the guided denoiser a sampler is given.

Each conditioning has strength, area, mask and sigma range; what can share a network call does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion.areas import Box, Entry, crop, resolve, rest, weight
from engine.diffusion.conditioning import Conditioning
from engine.diffusion.denoise import Denoise
from engine.diffusion.edits.places import asked
from engine.diffusion.families.family import Inputs
from engine.diffusion.journal import Journal
from engine.diffusion.model import Edit, Model
from engine.diffusion.parts import working_dtype
from engine.diffusion.patches import Patch
from engine.diffusion.reuse import Track
from engine.diffusion.rules import Cfg, Dual, Parts, PerpNeg, Plain, Rule

if TYPE_CHECKING:
    from engine.diffusion.control import Control
    from engine.diffusion.hooked import Hooked
    from engine.diffusion.hooks import Hooks

EMPTY = 1e-37
"""The weight of no prediction at all: a place no conditioning covers is 0."""


@dataclass(frozen=True)
class Guider:
    """A model, its conditionings by name, and the formula that joins their predictions: the GUIDER value."""

    model: Model
    conditionings: Mapping[str, Conditioning]
    rule: Rule

    def open(self, stack: ExitStack) -> nn.Module:
        """The model's network, placed, with the model's edits on it until ``stack`` closes."""
        network = self.model.network()
        stack.enter_context(self.edited(network))
        return network

    @contextmanager
    def edited(self, network: nn.Module) -> Iterator[None]:
        """The model's edits on ``network``; one that wants to know the run's prompts has ``bound``."""
        with ExitStack() as stack:
            for edit in self.model.edits:
                bound: Edit = edit.bound(self) if hasattr(edit, "bound") else edit
                stack.enter_context(bound(network))
            yield

    def start(self, network: nn.Module, x: Tensor, inpaint: Inpaint | None, journal: Journal | None) -> Denoise:
        """What the sampler is given, for latents like ``x``."""
        return Guided.start(self, network, x, inpaint, journal)


def basic_guider(model: Model, conditioning: Conditioning) -> Guider:
    return Guider(model, {"positive": conditioning}, Plain())


def cfg_guider(model: Model, positive: Conditioning, negative: Conditioning, cfg: float) -> Guider:
    return Guider(model, {"positive": positive, "negative": negative}, Cfg(cfg))


def dual_cfg_guider(
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: float,
    cfg_cond2_negative: float,
    nested: bool = False,
) -> Guider:
    conditionings = {"positive": cond1, "middle": cond2, "negative": negative}
    return Guider(model, conditionings, Dual(cfg_conds, cfg_cond2_negative, nested))


def perp_neg_guider(
    model: Model, positive: Conditioning, negative: Conditioning, empty: Conditioning, cfg: float, neg_scale: float
) -> Guider:
    return Guider(model, {"positive": positive, "negative": negative, "empty": empty}, PerpNeg(cfg, neg_scale))


@dataclass(frozen=True)
class Inpaint:
    """Where a mask (1 = draw, 0 = keep) is 0, the sampler sees the latent at the right noise level and gets it back unchanged."""

    mask: Tensor  # shaped like x
    latent: Tensor
    noise: Tensor
    sigmas: Tensor


@dataclass(frozen=True, eq=False)
class _Call:
    """One network call: the places whose predictions it gives, as (conditioning's name, box, weights), and its inputs."""

    places: tuple[tuple[str, Box | None, Tensor], ...]
    inputs: Inputs
    control: Control | None
    hooks: Hooks | None
    edits: tuple[Edit, ...]


@dataclass
class Guided:
    """The ``Denoise`` of one run: the network and its resolved conditionings, alive between ``sample``'s first and last line."""

    guider: Guider
    network: nn.Module
    entries: dict[str, list[Entry]]
    inpaint: Inpaint | None = None
    journal: Journal | None = None
    flow: bool = False
    evaluations: int = 0
    memory: dict[object, Any] = field(default_factory=dict)
    unguided: list[Tensor] = field(default_factory=list)  # the last negative prediction
    plans: dict[tuple[object, ...], tuple[_Call, ...]] = field(default_factory=dict)
    patches: tuple[Patch, ...] | None = None  # of ``network`` if they are not the model's own
    passing: list[Edit] = field(default_factory=list)  # edits of the evaluation being made again
    hooked: Hooked | None = None  # the networks with hooks on them, if any entry has some

    @classmethod
    def start(cls, guider: Guider, network: nn.Module, x: Tensor, inpaint: Inpaint | None, journal: Journal | None) -> Guided:
        """Every conditioning made ready for latents like ``x``; ``network`` is the model's, placed."""
        known = {} if inpaint is None else {"denoise_mask": inpaint.mask[:, :1], "latent_image": inpaint.latent}
        entries = resolve(guider.model, {**guider.model.guidance.beside, **guider.conditionings}, x, known)
        guided = cls(guider, network, entries, inpaint, journal, guider.model.sampling.flow)
        if any(entry.hooks is not None for some in entries.values() for entry in some):
            from engine.diffusion.hooked import Hooked

            guided.hooked = Hooked(guided)
        return guided

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self(x, sigma, needs_negative=True), self.unguided[0]

    def __call__(self, x: Tensor, sigma: Tensor, needs_negative: bool = False) -> Tensor:
        guidance, rule, mask = self.guider.model.guidance, self.guider.rule, None
        scale = guidance.scale(float(sigma))
        rule = rule if scale is None or isinstance(rule, Plain) else replace(rule, cfg=scale)  # type: ignore[type-var]
        names = rule.names(float(sigma))
        if (needs_negative or guidance.needs_negative) and "negative" in self.entries and "negative" not in names:
            names = (*names, "negative")
        if self.inpaint is not None:
            x, mask = self._noised(x, sigma, self.inpaint)
        reuse, denoised = guidance.reuse, None
        if reuse is not None:
            track: Track = self.memory.setdefault(reuse, Track())
            denoised = reuse.guess(track, x, sigma, names, self.guider.model.sampling)
        if denoised is None:
            denoised = self.evaluate(x, sigma, names)
            if reuse is not None:
                track.made(x, denoised)
        parts = Parts(x, sigma, denoised, rule.cfg, self.memory, partial(self._again, x, sigma))
        for before in guidance.before:
            parts = before(parts)
        if guidance.rule is not None and isinstance(rule, Cfg) and "negative" in parts.denoised:
            result = guidance.rule(parts)
        else:
            result = rule(parts)
        for after in guidance.after:
            result = after(parts, result)
        if self.inpaint is not None and mask is not None:
            result = result * mask + self.inpaint.latent * (1.0 - mask)
        self.unguided[:] = [parts.negative]
        return result

    def _noised(self, x: Tensor, sigma: Tensor, inpaint: Inpaint) -> tuple[Tensor, Tensor]:
        """x with the kept places at the noise level of the sampler, and the mask of this step."""
        model, mask = self.guider.model, inpaint.mask
        if model.denoise_mask is not None:
            mask = model.denoise_mask(model.sampling, sigma, mask, inpaint.sigmas)
        kept = model.sampling.noise_scaling(sigma, inpaint.noise, inpaint.latent)
        return x * mask + kept * (1.0 - mask), mask

    def _again(self, x: Tensor, sigma: Tensor, name: str, edit: Edit, at: Tensor | None = None, aside: bool = False) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(edit(self.network))
            self.passing.append(edit)
            stack.callback(self.passing.pop)
            known, self.journal = self.journal, None if aside else self.journal
            try:
                result = self.evaluate(x if at is None else at, sigma, (name,))[name]
            finally:
                self.journal = known
                self.evaluations -= aside
            return result

    def evaluate(self, x: Tensor, sigma: Tensor, names: Sequence[str]) -> Mapping[str, Tensor]:
        """The denoised latent of each named conditioning: the predictions of its entries, averaged by their weights."""
        number, self.evaluations = self.evaluations, self.evaluations + 1
        if self.hooked is not None:
            self.hooked.reach(float(sigma))
        known = self.journal.get(number) if self.journal is not None else None
        if known is not None:
            return {name: tensor.to(x.device) for name, tensor in known.items()}
        model = self.guider.model
        sampling, total = model.sampling, {name: torch.zeros_like(x) for name in names}
        weights = {name: torch.full_like(x, EMPTY) for name in names}
        for call in self._plan(x, float(sigma), names):
            crops = [crop(x, box) for _, box, _ in call.places]
            batch = torch.cat(crops)
            scaled = sampling.scale_input(batch, sigma)
            timestep = sampling.timestep(sigma).to(x.device).expand(len(batch))
            residuals = None
            if call.control is not None:
                residuals = call.control.residuals(scaled, timestep, sigma, call.inputs, model, len(crops))
            with self._network(call, x) as network:
                output = model.family.forward(network, scaled, timestep, call.inputs, residuals).float()
            predictions = sampling.denoised(batch, output, sigma).chunk(len(crops))
            for (name, box, counts), prediction in zip(call.places, predictions, strict=True):
                crop(total[name], box).add_(prediction * counts)
                crop(weights[name], box).add_(counts)
        denoised = {name: total[name] / weights[name] for name in names}
        if self.journal is not None:
            self.journal.put(number, denoised)
        return denoised

    @contextmanager
    def _network(self, call: _Call, x: Tensor) -> Iterator[nn.Module]:
        """The network for a call, with the hooks and edits of its entries, and told which places it is asked for."""
        with ExitStack() as stack:
            network = self.network
            if self.hooked is not None and call.hooks is not None:
                network = self.hooked.network(call.hooks, stack)
            for edit in call.edits:
                stack.enter_context(edit(network))
            asked(stack, network, tuple((name, box) for name, box, _ in call.places), tuple(x.shape[2:]))
            yield network

    def _plan(self, x: Tensor, sigma: float, names: Sequence[str]) -> tuple[_Call, ...]:
        """The calls that give the named predictions at sigma; the same ones as at the step before if the same entries apply."""
        active = [(name, entry) for name in names for entry in self.entries[name] if entry.applies(sigma)]
        key = (x.shape, *((name, id(entry)) for name, entry in active))
        if key not in self.plans:
            self.plans[key] = tuple(self._calls(_weighted(active, x), x))
        return self.plans[key]

    def _calls(self, places: Sequence[_Weighted], x: Tensor) -> Iterator[_Call]:
        """Greedily: each call takes all the places left whose inputs fit in one batch with its first."""
        family, dtype = self.guider.model.family, working_dtype(self.network)
        left = list(places)
        while left:
            group, inputs, others = [left[0]], _inputs(left[0], family.spatial, dtype), []
            for place in left[1:]:
                joined = None
                if place.alike(group[0], x) and len(group) < _most_rows(x, place.box) // x.shape[0]:
                    joined = family.batch([inputs, _inputs(place, family.spatial, dtype)])
                if joined is None:
                    others.append(place)
                else:
                    inputs = joined
                    group.append(place)
            first = group[0].entry
            places_of = tuple((place.name, place.box, place.counts) for place in group)
            yield _Call(places_of, inputs, first.control, first.hooks, first.edits)
            left = others


@dataclass(frozen=True, eq=False)
class _Weighted:
    """An entry that applies now, and how much its prediction counts."""

    name: str
    entry: Entry
    box: Box | None
    counts: Tensor

    def alike(self, other: _Weighted, x: Tensor) -> bool:
        a, b = self.entry, other.entry
        same = a.control is b.control and a.hooks == b.hooks and a.edits == b.edits
        return same and self.counts.shape == other.counts.shape


def _weighted(active: Sequence[tuple[str, Entry]], x: Tensor) -> list[_Weighted]:
    """The active entries with their weights; default ones take what the others of their conditioning leave."""
    weighted = [_Weighted(name, entry, entry.box, weight(entry, x)) for name, entry in active if not entry.default]
    remaining: list[_Weighted] = []
    for name, entry in active:
        if entry.default:
            counts = rest([(other.box, other.counts) for other in weighted if other.name == name], x)
            if counts.max() > 0:
                remaining.append(_Weighted(name, entry, None, counts))
    return weighted + remaining


def _inputs(place: _Weighted, spatial: frozenset[str], dtype: torch.dtype) -> Inputs:
    """The entry's inputs cropped to its box, floats in the network's format so that no step casts them again."""
    cropped = {name: crop(tensor, place.box) if name in spatial else tensor for name, tensor in place.entry.inputs.items()}
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in cropped.items()}


def _most_rows(x: Tensor, box: Box | None) -> int:
    """How many latents a network call should take at once."""
    return 1 << 30
