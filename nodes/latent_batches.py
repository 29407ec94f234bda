"""Batches of latents and the noise each item draws."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from annotated_types import Interval

from engine.node import Many, Name, node
from engine.types import Latent


def _plain(latent: Latent) -> dict[str, Any]:
    return cast(dict[str, Any], latent)


@node("LatentFromBatch", category="latent/batch", title="Latent From Batch")
def latent_from_batch(
    samples: Latent,
    batch_index: Annotated[int, Interval(ge=0, le=63)] = 0,
    length: Annotated[int, Interval(ge=1, le=64)] = 1,
) -> Latent:
    """So many latents of a batch, from an index on; each keeps the noise it had in the whole."""
    from engine.diffusion.pixels.latents import from_batch

    return cast(Latent, from_batch(_plain(samples), batch_index, length))


@node("RepeatLatentBatch", category="latent/batch", title="Repeat Latent Batch")
def repeat_latent_batch(samples: Latent, amount: Annotated[int, Interval(ge=1, le=64)] = 1) -> Latent:
    """The batch several times over."""
    from engine.diffusion.pixels.latents import repeated

    return cast(Latent, repeated(_plain(samples), amount))


@node("LatentBatch", category="latent/batch", title="Batch Latents")
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Two batches as one, the second at the first one's size."""
    from engine.diffusion.pixels.latents import joined

    return cast(Latent, joined(_plain(samples1), _plain(samples2)))


@node("BatchLatentsNode", category="latent/batch", title="Batch Latents (any number)")
def batch_latents(first: Annotated[Latent, Name("latents.latent0")], **latents: Latent) -> Latent:
    """All latents as one batch, at the first one's size: ``latents.latent0``, ``latents.latent1`` and so on."""
    for latent in latents.values():
        first = latent_batch(first, latent)
    return first


@node("RebatchLatents", category="latent/batch", title="Rebatch Latents")
def rebatch_latents(latents: Many[Latent], batch_size: Annotated[int, Interval(ge=1, le=4096)] = 1) -> Many[Latent]:
    """The same latents in batches of another size."""
    from engine.diffusion.pixels.latents import rebatched

    return cast(list[Latent], rebatched([_plain(latent) for latent in latents], batch_size))


@node("LatentBatchSeedBehavior", category="latent/advanced")
def latent_batch_seed_behavior(samples: Latent, seed_behavior: Literal["random", "fixed"] = "fixed") -> Latent:
    """Whether each item of the batch draws noise of its own ("random") or all the same ("fixed")."""
    from engine.diffusion.pixels.latents import indices

    plain = _plain(samples)
    if seed_behavior == "random":
        return cast(Latent, {key: value for key, value in plain.items() if key != "batch_index"})
    return cast(Latent, {**plain, "batch_index": indices(plain)[:1] * plain["samples"].shape[0]})
