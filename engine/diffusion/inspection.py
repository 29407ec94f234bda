"""What a model file is, told from its header: kind, family, parts, number formats, what in it is of no use."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.diffusion import autoencoder_film, autoencoder_kl, prefixes, usage
from engine.diffusion.checkpoints import bind, read
from engine.diffusion.containers import CheckpointError, TensorFile, read_tensors
from engine.diffusion.containers.packed import Packed
from engine.diffusion.containers.safetensors import DTYPES
from engine.diffusion.families.family import Family
from engine.diffusion.parts import Part, Tensors
from engine.diffusion.pipeline_folder import TOWERS, load_folder
from engine.diffusion.quantization import scaled
from engine.diffusion.text import stacks, towers
from engine.diffusion.vision import towers as vision

SHORT = {dtype: name.lower() for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class PartReport:
    """One network of a file."""

    role: str
    prefix: str
    parameters: int
    types: tuple[str, ...]  # number formats, the most used first


@dataclass(frozen=True)
class Report:
    """What is said of a file."""

    path: str
    nbytes: int
    tensors: int
    kind: str  # "Stable Diffusion XL checkpoint", "a LoRA" ...
    family: str | None
    prediction: str | None
    parts: tuple[PartReport, ...]
    defaults: dict[str, Any] | None  # settings that give a decent picture at once
    strays: int  # tensors nothing is made from: averages of training, schedules
    unknown: tuple[str, ...]  # names nobody claims
    metadata: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"{self.path}: {self.kind}, {size(self.nbytes)}, {self.tensors} tensors"]
        for part in self.parts:
            numbers = f"{part.parameters / 1e6:10.1f} M numbers, {' and '.join(part.types)}"
            lines.append(f"  {part.role:<12}{numbers}, {part.prefix or 'no prefix'}")
        if self.prediction is not None:
            lines.append(f"  predicts {self.prediction}")
        if self.defaults is not None:
            lines.append(f"  try {usage.sentence(self.defaults)}")
        if self.strays:
            lines.append(f"  {self.strays} tensors are of no use and may be pruned")
        if self.unknown:
            lines.append(f"  {len(self.unknown)} belong to nothing known: {', '.join(self.unknown[:3])} ...")
        shown = {key: value for key, value in self.metadata.items() if len(value) <= 200 and key != "format"}
        lines += [f"  {key}: {value}" for key, value in sorted(shown.items())]
        return lines


def size(nbytes: int) -> str:
    """Bytes for people."""
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


def inspect(path: Path) -> Report:
    """The report of a file or a diffusers folder. Raises CheckpointError only if it cannot be read at all."""
    if path.is_dir():
        return _folder(path)
    file = read(path, multiply=False)
    try:
        found = bind(file)
    except CheckpointError:
        return _other(file)
    family = found.family
    parts = {found.prefix: found.part}
    if found.prefix:
        parts |= stacks.find(family.text, file.tensors)
        parts |= _vae(file.tensors) | _vision(file.tensors)
    used = {prefix + row.source for prefix, part in parts.items() for row in part.keymap} | family.flags().keys()
    for prefix in parts:
        used |= prefixes.superseded(file.tensors, prefix)
    left = [name for name in found.part.stored if found.prefix + name not in used]
    left += [name for name in file.tensors if not name.startswith(found.prefix) and name not in used]
    whole = f"{family.title} {'checkpoint' if len(parts) > 1 else 'denoiser'}"
    made = asdict(usage.settings(family.defaults, file.metadata))
    return _report(file, whole, family.name, _said(family), parts, left, made)


def _said(family: Family) -> str:
    return family.prediction.kind + (", zero terminal SNR" if family.prediction.zero_terminal_snr else "")


def _folder(path: Path) -> Report:
    """The report of a diffusers folder, each part under the sub-folder it came from."""
    loaded = load_folder(path)
    family, clip, vae = loaded.family, loaded.clip, loaded.vae
    parts = [("unet", loaded.denoiser)] + ([] if vae is None else [("vae", vae.part)])
    towers_there = [sub for sub in TOWERS if (path / sub).is_dir()]
    parts += [] if clip is None else list(zip(towers_there, clip.parts, strict=False))
    reports = tuple(PartReport(part.role, sub, part.parameters, _types(part, "", set())) for sub, part in parts)
    nbytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    tensors = sum(len(part.stored) for _, part in parts)
    made = asdict(usage.settings(family.defaults, loaded.metadata))
    title = f"{family.title} in diffusers' folders"
    return Report(path.name, nbytes, tensors, title, family.name, _said(family), reports, made, 0, (), loaded.metadata)


def _other(file: TensorFile) -> Report:
    """The report of a file without a denoiser."""
    parts = _vae(file.tensors)
    for prefix, inner in prefixes.candidates(
        file.tensors, ("", *(p for slots in stacks.STACKS.values() for s in slots for p in s.prefixes))
    ):
        part = towers.part(inner)
        if part is not None:
            parts.setdefault(prefix, part)
    kind = " and ".join(part.role for part in parts.values()) or (prefixes.kind(file.tensors) or "nothing known").split(":")[0]
    said = usage.adapter_settings(file.metadata) if kind == "a LoRA" else None
    left = [name for part in parts.values() for name in prefixes.strangers_in(part)]
    return _report(file, kind, None, None, parts, left, said.as_dict() if said else None)


def _vae(tensors: Tensors) -> dict[str, Part]:
    for prefix, inner in prefixes.candidates(tensors, prefixes.VAE):
        found = autoencoder_film.part(inner) or autoencoder_kl.part(inner)
        if found is not None:
            return {prefix: found[1]}
    return {}


def _vision(tensors: Tensors) -> dict[str, Part]:
    for prefix, inner in prefixes.candidates(tensors, [prefix for prefix in vision.PREFIXES if prefix]):
        part = vision.part(inner)
        if part is not None:
            return {prefix: part}
    return {}


def _report(
    file: TensorFile, kind: str, family: str | None, prediction: str | None, parts: dict[str, Part], left: list[str],
    defaults: dict[str, Any] | None = None,
) -> Report:
    unknown = tuple(prefixes.strangers(left))
    narrow = scaled(read_tensors(file.path).tensors)
    reports = tuple(PartReport(p.role, prefix, p.parameters, _types(p, prefix, narrow)) for prefix, p in parts.items())
    strays = len(left) - len(unknown)
    name, nbytes, count = file.path.name, file.path.stat().st_size, len(file.tensors)
    return Report(name, nbytes, count, kind, family, prediction, reports, defaults, strays, unknown, file.metadata)


def _types(part: Part, prefix: str, narrow: set[str]) -> tuple[str, ...]:
    """A part's number formats, the most used first; ``narrow`` are the file's names of weights with a scale beside them."""
    counts: Counter[str] = Counter()
    for row in part.keymap:
        tensor = row.view(part.stored[row.source])
        kind = tensor.kind.name if isinstance(tensor, Packed) else SHORT.get(tensor.dtype, str(tensor.dtype))
        counts["scaled " + kind if prefix + row.source in narrow else kind] += tensor.numel()
    return tuple(name for name, _ in counts.most_common())


EARLY = (0x100000, 0x10000)
"""Where AutoV1 looks, and how far."""


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of the file and the short forms people quote.

    AutoV1: eight digits, of the file's second megabyte's first 64 kB. AutoV2: ten, of the file. AutoV3: twelve, of a safetensors
    file's data without its header, which is what LoRAs are known by (``sshs_model_hash``).
    """
    whole, data = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        file.seek(EARLY[0])
        early = hashlib.sha256(file.read(EARLY[1])).hexdigest()
        file.seek(0)
        start = file.read(8)
        length = int.from_bytes(start, "little")
        header = file.read(length) if length < min(path.stat().st_size, 100_000_000) else b""
        safe = header.startswith(b"{")
        whole.update(start + header)
        while block := file.read(1 << 22):
            whole.update(block)
            if safe:
                data.update(block)
    found = {"sha256": whole.hexdigest(), "AutoV1": early[:8], "AutoV2": whole.hexdigest()[:10].upper()}
    if safe:
        found["AutoV3"] = data.hexdigest()[:12].upper()
    return found
