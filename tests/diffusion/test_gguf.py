"""GGUF files beside their own library: every kind of block bit for bit, whole networks, LoRAs on them, damaged files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from torch import Tensor

from engine.diffusion import precision
from engine.diffusion.checkpoints import Checkpoint, load_denoiser
from engine.diffusion.containers import CheckpointError, blocks, read_tensors
from engine.diffusion.containers.packed import Packed
from engine.diffusion.families.family import Family
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.inspection import inspect
from engine.diffusion.lora import apply_lora
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.residency import Residency
from engine.diffusion.saving import stream_checkpoint, write
from tests.diffusion import originals

FAMILY = SD1(replace(originals.SD1_TINY, channels=(256, 256), context=256))
WRITABLE = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
"""The kinds the library can make, not only read."""


@pytest.mark.parametrize("number", [*blocks.KINDS])
def test_blocks_are_read_as_the_library_reads_them(number: int) -> None:
    kind, theirs = blocks.KINDS[number], Type(number)
    assert (kind.name, kind.numbers, kind.nbytes) == (theirs.name, *gguf.GGML_QUANT_SIZES[theirs])
    data = np.random.default_rng(number).integers(0, 256, (512, kind.nbytes), dtype=np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        expected = gguf.quants.dequantize(data, theirs)
    ours = kind.read(torch.from_numpy(data)).numpy()
    assert np.array_equal(ours, expected, equal_nan=True)
    assert np.isfinite(ours).mean() > 0.8


def save(path: Path, tensors: dict[str, Tensor], kind: Type = Type.F16, alignment: int | None = None) -> Path:
    """A file as city96's converter writes it: kernels flattened where that gives whole blocks, small tensors in float32."""
    writer = gguf.GGUFWriter(path, "sd1")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    for name, tensor in tensors.items():
        array, used = tensor.float().numpy(), Type.F32 if tensor.ndim < 2 else kind
        if array.ndim == 4:
            writer.add_array(f"comfy.gguf.orig_shape.{name}", list(array.shape))
            array = array.reshape(array.shape[0], -1)
        if used in gguf.GGML_QUANT_SIZES and array.shape[-1] % gguf.GGML_QUANT_SIZES[used][0]:
            used = Type.F16
        writer.add_tensor(name, gguf.quants.quantize(array, used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return originals.filled(originals.denoiser(FAMILY))


@pytest.fixture(scope="module")
def q8(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("gguf") / "unet.gguf", weights, Type.Q8_0)


def predict(family: Family, network: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 77, 256, generator=generator)
    return family.forward(network, x, torch.tensor([5.0]), family.condition(context, {}, x)).float()


def whole(loaded: Checkpoint) -> Part:
    """The same network with every number written out."""
    stored = {name: tensor.to(torch.float32) for name, tensor in loaded.denoiser.stored.items()}
    return Part("denoiser", loaded.family.build, loaded.denoiser.keymap, stored)


@pytest.mark.parametrize("alignment", [None, 64])
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", *WRITABLE])
def test_tensors_are_those_of_the_library(kind: str, alignment: int | None, tmp_path: Path) -> None:
    tensors = {"a.weight": torch.randn(8, 64), "a.bias": torch.randn(8), "b.weight": torch.randn(6, 32, 3, 3)}
    path = save(tmp_path / "x.gguf", tensors, Type[kind], alignment)
    file = read_tensors(path)
    assert file.metadata["general.architecture"] == "sd1"
    for entry in gguf.GGUFReader(path).tensors:
        ours = file.tensors[entry.name]
        assert ours.shape == tensors[entry.name].shape
        expected = gguf.quants.dequantize(entry.data, entry.tensor_type)
        assert torch.equal(ours.to(torch.float32).flatten(), torch.from_numpy(expected.copy()).flatten())


def test_a_packed_network_computes_as_its_numbers_written_out(q8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacked if there is room, else still in its blocks: then nothing of the large weights is in memory twice."""
    loaded = load_denoiser(q8)
    assert loaded.family == FAMILY
    expected = predict(FAMILY, whole(loaded).module())
    monkeypatch.setattr(precision, "LARGE_FROM", 0)
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: False)
    roomy, tight = Residency("cpu", budget=1 << 40), Residency("cpu", budget=1)
    for place, kept in ((roomy, False), (tight, True)):
        network = place(loaded.denoiser)
        assert any(isinstance(parameter, Packed) for parameter in network.parameters()) is kept
        assert torch.allclose(predict(FAMILY, network), expected, atol=2e-3)  # float16 between
    assert tight.nbytes < roomy.nbytes / 3


def test_eight_bits_are_near_the_original(weights: dict[str, Tensor], q8: Path) -> None:
    plain = Part("denoiser", FAMILY.build, FAMILY.keymap(weights), weights)
    expected = predict(FAMILY, plain.module())
    ours = predict(FAMILY, whole(load_denoiser(q8)).module())
    assert torch.nn.functional.cosine_similarity(ours.flatten(), expected.flatten(), dim=0) > 0.999


def test_loras_apply_to_packed_weights_and_come_off(q8: Path) -> None:
    loaded = load_denoiser(q8)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    lora = {f"{name}.lora_up.weight": torch.randn(256, 4), f"{name}.lora_down.weight": torch.randn(4, 256)}
    place = Residency("cpu", dtype=torch.float32)
    model = Model(part=loaded.denoiser, family=loaded.family, place=place)
    before = predict(FAMILY, model.network())
    patched, _ = apply_lora(model, None, lora, 0.5, 0.0)
    assert patched is not None
    written_out = Model(part=whole(loaded), family=loaded.family, place=Residency("cpu", dtype=torch.float32))
    same, _ = apply_lora(written_out, None, lora, 0.5, 0.0)
    assert same is not None
    assert torch.allclose(predict(FAMILY, patched.network()), predict(FAMILY, same.network()), atol=1e-5)
    assert torch.equal(predict(FAMILY, model.network()), before)


def test_it_saves_as_half_precision_safetensors(q8: Path, tmp_path: Path) -> None:
    loaded = load_denoiser(q8)
    write(tmp_path / "x.safetensors", stream_checkpoint(loaded.model))
    again = load_denoiser(tmp_path / "x.safetensors")
    assert again.family == FAMILY
    for name, weight in again.denoiser.weights().items():
        assert torch.equal(weight, loaded.denoiser.weights()[name].to(torch.float32).to(weight.dtype)), name


def test_inspect_names_the_kinds(q8: Path) -> None:
    report = inspect(q8)
    assert report.family == "sd1"
    assert report.parts[0].types[0] == "Q8_0"
    assert not report.unknown


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "x.gguf", {"a.weight": torch.randn(32, 256)}, Type.Q8_0)
    content = path.read_bytes()
    place = content.index(b"a.weight") + len(b"a.weight") + 4 + 2 * 8
    assert content[place] == Type.Q8_0
    path.write_bytes(content[:place] + bytes([Type.IQ1_S]) + content[place + 1 :])
    with pytest.raises(CheckpointError, match=r"'a\.weight' is of type IQ1_S, which cannot be read: use one of Q4_0"):
        read_tensors(path)
    path.write_bytes(content[:4] + (1).to_bytes(4, "little") + content[8:])
    with pytest.raises(CheckpointError, match="version 1"):
        read_tensors(path)
    path.write_bytes(content[:-32])
    with pytest.raises(CheckpointError, match=r"truncated: .* download it again"):
        read_tensors(path)
