"""From a model file to its parts: which family it is, its denoiser, VAE and text encoders, weights mapped and not read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.diffusion import autoencoder_film, autoencoder_kl, autoencoder_tiny, prefixes, training_config
from engine.diffusion.clip import Clip
from engine.diffusion.clip_vision import ClipVision
from engine.diffusion.containers import CheckpointError, TensorFile, read_tensors
from engine.diffusion.families import FAMILIES, in_known_names
from engine.diffusion.families.family import Family
from engine.diffusion.parts import Part, Place, PlaceOnCpu, Tensors
from engine.diffusion.quantization import plain
from engine.diffusion.text import stacks, towers
from engine.diffusion.text.embeddings import FindEmbedding
from engine.diffusion.vae import Vae
from engine.diffusion.vision import towers as vision

if TYPE_CHECKING:
    from engine.diffusion.model import Model

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "load_checkpoint",
    "load_clip",
    "load_clip_vision",
    "load_denoiser",
    "load_vae",
    "read_tensors",
]

STRANGE = "belong to nothing known: this may be another kind of model; if it is not, use a version without them"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a model file holds. Parts it lacks are None."""

    path: Path
    family: Family
    denoiser: Part
    place: Place
    clip: Clip | None = None
    vae: Vae | None = None
    clip_vision: ClipVision | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The denoiser as it travels along edges."""
        from engine.diffusion.model import Model

        return Model(part=self.denoiser, family=self.family, place=self.place)


@dataclass(frozen=True)
class Found:
    """The denoiser of a file and the prefix it lies under."""

    prefix: str
    family: Family
    part: Part


def load_checkpoint(
    path: Path, place: Place | None = None, embeddings: FindEmbedding | None = None, config: Path | None = None
) -> Checkpoint:
    """All parts of a model file. Takes some 0.1 s whatever its size: weights are mapped, modules made on first use.

    Of a training configuration only what no file tells is read: the prediction, and the layer of the text encoder.
    """
    file = read(path)
    said = "" if config is None else config.read_text(errors="replace")
    if config is not None:
        file.metadata["modelspec.prediction_type"] = "v" if training_config.predicts_velocity(said) else "epsilon"
    place = place or PlaceOnCpu()
    found = bind(file)
    text = {} if found.prefix == "" else stacks.find(found.family.text, file.tensors)
    vae_prefix, vae = _vae(file, place) if found.prefix else ("", None)
    vae = vae and replace(vae, whose=found.family.latent.vae)
    used = {prefix + row.source for prefix, part in text.items() for row in part.keymap}
    used |= {vae_prefix + row.source for row in vae.part.keymap} if vae is not None else set()
    used |= prefixes.superseded(file.tensors, vae_prefix)
    seen_prefix, seen = _vision(file, [prefix for prefix in vision.PREFIXES if prefix]) if found.prefix else ("", None)
    used |= {seen_prefix + row.source for row in seen.keymap} if seen is not None else set()
    _check_names(found, used, file)
    for part in (found.part, *text.values(), *([vae.part] if vae is not None else []), *([seen] if seen is not None else [])):
        check_complete(path, part)
    clip = Clip(stacks.assemble(found.family.text, list(text.values())), place, embeddings) if text else None
    if clip is not None and (layer := training_config.last_layer(said)) is not None:
        clip = clip.with_last_layer(layer)
    eye = None if seen is None else ClipVision(seen, place)
    return Checkpoint(path, found.family, found.part, place, clip, vae, eye, file.metadata)


def load_denoiser(path: Path, place: Place | None = None) -> Checkpoint:
    """The denoiser alone, of a file of its own or of a whole checkpoint."""
    file = read(path)
    found = bind(file)
    _check_names(found, {name for name in file.tensors if found.prefix and not name.startswith(found.prefix)}, file)
    check_complete(path, found.part)
    return Checkpoint(path, found.family, found.part, place or PlaceOnCpu(), metadata=file.metadata)


def load_vae(path: Path, place: Place | None = None) -> Vae:
    """The VAE of a file of its own or of a whole checkpoint."""
    file = read(path)
    _, vae = _vae(file, place or PlaceOnCpu())
    vae = vae or autoencoder_tiny.as_vae(path, file.tensors, place or PlaceOnCpu())
    if vae is None:
        raise CheckpointError(path, f"there is no VAE in it{prefixes.elsewhere(file.tensors, 'a VAE')}")
    check_part(path, vae.part)
    return vae


def load_clip(paths: Sequence[Path], kind: str, place: Place | None = None, embeddings: FindEmbedding | None = None) -> Clip:
    """Text encoders of files of their own, joined as a family listens to them: one tower says itself whose it is.

    ``kind`` is what Load CLIP offers (``stable_diffusion``, ``sdxl`` ...); it matters where the files alone do not decide.
    """
    found: dict[str, Part] = {}
    for path in paths:
        tensors = read(path).tensors
        parts = [part for _, inner in prefixes.candidates(tensors, ("", *_text_prefixes())) if (part := towers.part(inner))]
        if not parts:
            raise CheckpointError(path, f"there is no CLIP text encoder in it{prefixes.elsewhere(tensors, 'a text encoder')}")
        for part in parts:
            check_part(path, part)
        found |= {part.role: part for part in parts}
    for stack, slots in stacks.STACKS.items():
        if {f"clip_{slot.name}" for slot in slots} == found.keys():
            return Clip(stacks.assemble(stack, list(found.values())), place or PlaceOnCpu(), embeddings)
    raise CheckpointError(paths[0], f"no {kind} model listens to {' and '.join(found)} together")


def load_clip_vision(path: Path, place: Place | None = None) -> ClipVision:
    """The image encoder of a file of its own or of a checkpoint that has one."""
    file = read(path)
    _, part = _vision(file, vision.PREFIXES)
    if part is None:
        told = prefixes.elsewhere(file.tensors, "the image encoder of a CLIP: ViT-L, ViT-H or ViT-bigG")
        raise CheckpointError(path, f"there is no CLIP image encoder in it{told}")
    check_complete(path, part)
    return ClipVision(part, place or PlaceOnCpu())


def _vision(file: TensorFile, where: Iterable[str]) -> tuple[str, Part | None]:
    """The image encoder and the prefix it lies under."""
    for prefix, inner in prefixes.candidates(file.tensors, where):
        part = vision.part(inner)
        if part is not None:
            return prefix, part
    return "", None


def _text_prefixes() -> Iterable[str]:
    return dict.fromkeys(prefix for slots in stacks.STACKS.values() for slot in slots for prefix in slot.prefixes)


def read(path: Path, *, multiply: bool = True) -> TensorFile:
    """The file with what a configuration beside it says of its prediction in its metadata; scaled weights multiplied out.

    Without ``multiply`` they stay as stored, for those who look only at names and shapes.
    """
    file = read_tensors(path)
    file = replace(file, tensors=plain(path, file.tensors, multiply=multiply))
    if training_config.beside(path):
        file.metadata.setdefault("modelspec.prediction_type", "v")
    return file


def bind(file: TensorFile, where: Iterable[str] = prefixes.DENOISER) -> Found:
    """The denoiser of a file, under the first prefix where some family recognises it."""
    for prefix, named in prefixes.candidates(file.tensors, where):
        inner = in_known_names(named)
        for family in FAMILIES:
            bound = family.recognise(inner, file.tensors, file.metadata)
            if bound is not None:
                part = Part("denoiser", bound.build, bound.keymap(inner), inner)
                return Found(prefix, bound, part)
    kind = prefixes.kind(file.tensors)
    if kind is None:
        some = ", ".join(list(file.tensors)[:3])
        raise CheckpointError(file.path, f"no known model: its tensors are called {some} ... ({len(file.tensors)} in all)")
    raise CheckpointError(file.path, f"this is not a checkpoint but {kind}")


def _vae(file: TensorFile, place: Place) -> tuple[str, Vae | None]:
    """The VAE and the prefix it lies under."""
    for prefix, inner in prefixes.candidates(file.tensors, prefixes.VAE):
        vae = vae_of(inner, place)
        if vae is not None:
            return prefix, vae
    return "", None


def vae_of(tensors: Tensors, place: Place) -> Vae | None:
    """The autoencoder, of pictures or of films, whose tensors these are (prefix off)."""
    film = autoencoder_film.part(tensors)
    if film is not None:
        still, together = film[0].still, autoencoder_film.TOGETHER
        return Vae(film[1], still.latent_channels, still.spatial, place, together=together)
    found = autoencoder_kl.part(tensors)
    if found is None:
        return None
    config, part = found
    return Vae(part, config.latent_channels, config.spatial, place)


def _check_names(found: Found, used: set[str], file: TensorFile) -> None:
    """Every tensor of the file must be used or a known stray."""
    used = used | found.family.flags().keys()
    denoiser = {row.source for row in found.part.keymap}
    left = [found.prefix + name for name in found.part.stored if name not in denoiser]
    left += [name for name in file.tensors if not name.startswith(found.prefix)]
    if found.family.text == "none":
        left = [name for name in left if not prefixes.WORDS_HALF.match(name)]
    unknown = prefixes.strangers(name for name in left if name not in used)
    if unknown:
        raise CheckpointError(file.path, f"taken for {found.family.title}, but {_some(unknown)} {STRANGE}")


def check_part(path: Path, part: Part) -> None:
    """The part must be whole, and every tensor stored with it one of its weights or a known stray."""
    unknown = prefixes.strangers_in(part)
    if unknown:
        raise CheckpointError(path, f"beside its {part.role}, {_some(unknown)} {STRANGE}")
    check_complete(path, part)


def check_complete(path: Path, part: Part) -> None:
    """The part must have every weight its network needs, in its shape."""
    needed, there = part.build().state_dict(), part.weights()
    missing = [name for name in needed if name not in there]
    if missing:
        raise CheckpointError(path, f"its {part.role} is incomplete: {_some(missing)} missing: download it again")
    wrong = [name for name in needed if needed[name].shape != there[name].shape]
    if wrong:
        raise CheckpointError(path, f"its {part.role} is no network known here: {_some(wrong)} have unexpected shapes")


def check_exact(path: Path, part: Part) -> Part:
    """The part itself, if it has every weight its network needs, in its shape, and none besides."""
    check_complete(path, part)
    needed = part.build().state_dict()
    more = [row.source for row in part.keymap if row.target not in needed]
    if more:
        raise CheckpointError(path, f"its {part.role} is no network known here: {_some(more)} {STRANGE}")
    return part


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
