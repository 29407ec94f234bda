"""Model files: whole checkpoints load whatever their container; bad ones are refused with a reason and run no code."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint, load_denoiser
from engine.diffusion.containers import CheckpointError, pickles, read_tensors
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sdxl import SDXL, SDXLRefiner
from engine.diffusion.parts import PlaceOnCpu
from engine.diffusion.text.network import TextConfig
from tests.diffusion import originals

DEMO = Path(__file__).parents[2] / "models" / "checkpoints" / "loom-demo.safetensors"
L = TextConfig(width=64, layers=2, hidden=128, activation="quick_gelu")
G = TextConfig(width=128, layers=2, hidden=128, activation="gelu", projection=128)


def sd1(**more: Tensor) -> dict[str, Tensor]:
    """A tiny random SD 1 checkpoint in half precision."""
    return _sd1() | more


@cache
def _sd1() -> dict[str, Tensor]:
    named = originals.with_prefix("model.diffusion_model.", originals.denoiser(SD1(originals.SD1_TINY)))
    named |= originals.with_prefix("first_stage_model.", originals.vae(originals.VAE_TINY))
    named |= originals.with_prefix("cond_stage_model.transformer.", originals.tower(L))
    return originals.filled(named, dtype=torch.float16)


def sdxl() -> dict[str, Tensor]:
    return dict(_sdxl())


@cache
def _sdxl() -> dict[str, Tensor]:
    named = originals.with_prefix("model.diffusion_model.", originals.denoiser(SDXL(originals.SDXL_TINY)))
    named |= originals.with_prefix("first_stage_model.", originals.vae(originals.VAE_TINY))
    named |= originals.with_prefix("conditioner.embedders.0.transformer.", originals.tower(L))
    named |= originals.with_prefix("conditioner.embedders.1.model.", originals.open_clip(originals.tower(G)))
    return originals.filled(named, dtype=torch.float16)


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


# Whole files


def test_the_shipped_checkpoint_loads_without_reading_its_weights() -> None:
    loaded = load_checkpoint(DEMO)
    assert loaded.family.name == "sd1"
    assert loaded.clip is not None
    assert loaded.vae is not None
    assert loaded.denoiser.parameters == 6_715_588
    assert all(weight.dtype == torch.float16 for weight in loaded.denoiser.weights().values())
    file = load_file(DEMO)
    parts = (loaded.denoiser, loaded.vae.part, *loaded.clip.parts)
    assert sum(part.parameters for part in parts) == sum(tensor.numel() for tensor in file.values())


def test_weights_are_views_of_one_private_mapping(tmp_path: Path) -> None:
    """Writing into a loaded weight must not reach the file."""
    path = saved(tmp_path / "a.safetensors", sd1())
    loaded = load_checkpoint(path)
    weights = loaded.denoiser.weights()
    assert len({weight.untyped_storage().data_ptr() for weight in weights.values()}) == 1
    before = path.read_bytes()
    weights["conv_in.weight"].zero_()
    assert path.read_bytes() == before


def test_sd1_and_sdxl_and_refiner_checkpoints_are_told_apart(tmp_path: Path) -> None:
    one = load_checkpoint(saved(tmp_path / "a.safetensors", sd1()))
    two = load_checkpoint(saved(tmp_path / "b.safetensors", sdxl()))
    refiner = originals.with_prefix("model.diffusion_model.", originals.denoiser(SDXLRefiner(originals.REFINER_TINY)))
    refiner |= originals.with_prefix("conditioner.embedders.0.model.", originals.open_clip(originals.tower(G)))
    three = load_checkpoint(saved(tmp_path / "c.safetensors", originals.filled(refiner)))
    assert [loaded.family.name for loaded in (one, two, three)] == ["sd1", "sdxl", "sdxl_refiner"]
    assert [[t.name for t in loaded.clip.towers] for loaded in (one, two, three) if loaded.clip] == [["l"], ["l", "g"], ["g"]]
    assert three.vae is None


def test_a_conditioned_call_of_each_family_runs(tmp_path: Path) -> None:
    for tensors in (sd1(), sdxl()):
        loaded = load_checkpoint(saved(tmp_path / "a.safetensors", tensors))
        assert loaded.clip is not None
        ((context, options),) = loaded.clip.encode("a cat")
        x = torch.randn(2, 4, 8, 8)
        inputs = loaded.family.condition(context, options, x)
        network = PlaceOnCpu()(loaded.denoiser)
        assert loaded.family.forward(network, x, torch.tensor([1.0, 2.0]), inputs).shape == x.shape


def test_novelais_text_encoder_and_stray_keys_are_accepted(tmp_path: Path) -> None:
    tensors = {name.replace("transformer.text_model.", "transformer."): tensor for name, tensor in sd1().items()}
    strays = ["model_ema.diffusion_modelinput_blocks00weight", "model_ema.decay", "alphas_cumprod", "betas", "logvar"]
    strays += ["cond_stage_model.transformer.embeddings.position_ids", "first_stage_model.loss.logvar", "v_pred", "ztsnr"]
    loaded = load_checkpoint(saved(tmp_path / "nai.safetensors", {**tensors, **{name: torch.zeros(1) for name in strays}}))
    assert loaded.clip is not None
    assert loaded.family.prediction.kind == "v"


def test_an_unknown_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", sd1(**{"model.diffusion_model.fancy.weight": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"a\.safetensors: taken for Stable Diffusion 1, but .*fancy\.weight"):
        load_checkpoint(path)


def test_a_missing_weight_is_an_error_that_names_it(tmp_path: Path) -> None:
    tensors = sd1()
    del tensors["model.diffusion_model.out.0.weight"]
    with pytest.raises(CheckpointError, match=r"incomplete.*conv_norm_out\.weight"):
        load_checkpoint(saved(tmp_path / "a.safetensors", tensors))


# Pickles


def torch_saved(path: Path, content: object, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_old_checkpoints_with_training_objects_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    tensors = sd1()
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    module = ModuleType(name)
    vars(module)["ModelCheckpoint"] = callback
    for package in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, name, module)
    value = callback()
    value.best = 1.0  # type: ignore[attr-defined]
    content = {"state_dict": tensors, "callbacks": {callback: value}, "global_step": 7}
    path = torch_saved(tmp_path / "old.ckpt", content, _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    loaded = load_checkpoint(path)
    assert loaded.metadata["global_step"] == "7"
    weights = loaded.denoiser.weights()
    assert torch.equal(weights["conv_in.weight"], tensors["model.diffusion_model.input_blocks.0.0.weight"])


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_by_name_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = torch_saved(tmp_path / "bomb.ckpt", {"state_dict": sd1(), "x": Bomb()}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"bomb\.ckpt: its pickle asks for posix\.system: code.*not run"):
        load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "code",
    [
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR.",
        b"ctorch\nload\n(S'x'\ntR.",
        b"ctorch.hub\nload\n(S'x'\ntR.",
        b"\x80\x04\x8c\x05torch\x8c\x17serialization.os.system\x93.",
        b"cpytorch_lightning\nx\n(S'1'\ntRcos\nsystem\n.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"cnumpy.testing._private.utils\nrunstring\n.",
    ],
)
def test_the_unpickler_builds_nothing_but_data(code: bytes) -> None:
    with pytest.raises(pickles.Refused):
        pickles._unpickler().Unpickler(io.BytesIO(code)).load()


# Files that are something else


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "html": (b"<!doctype html><html>Sign in</html>", "a web page, not a model"),
    "json": (b'{"error": "Unauthorized"}', "a JSON text"),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(64), "a GGUF file without tensors"),
    "noise": (bytes(range(40, 140)), "this is no model file .*: choose another"),
    "huge header": (struct.pack("<Q", 1 << 32) + b"{}", "claims 4294967296 bytes"),
    "cut header": (struct.pack("<Q", 5000) + b'{"a": ', "truncated inside its header"),
    "no json": (safetensors_bytes(b"{nonsense}"), "is not JSON"),
    "deep json": (safetensors_bytes(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "is not JSON"),
    "no entry": (safetensors_bytes({"a": 5}), "no dtype, shape and offsets for tensor 'a'"),
    "cut data": (safetensors_bytes({"a": ENTRY}, bytes(4)), "truncated: "),
    "wrong size": (safetensors_bytes({"a": {**ENTRY, "shape": [3]}}, bytes(8)), "do not fit its shape"),
    "negative": (safetensors_bytes({"a": {**ENTRY, "data_offsets": [-8, 0]}}, bytes(8)), "do not fit its shape"),
    "wrong type": (safetensors_bytes({"a": {**ENTRY, "dtype": "F7"}}, bytes(8)), "type 'F7'"),
    "pickle": (b"\x80\x02}q\x00.", "not a readable torch checkpoint|without tensors"),
    "cut zip": (b"PK\x03\x04" + bytes(100), "truncated"),
}


@pytest.mark.parametrize("name", [*BAD_FILES])
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    content, reason = BAD_FILES[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith("model.safetensors: ")
    assert "\n" not in str(caught.value)


def test_a_zip_of_something_else_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="no torch checkpoint"):
        read_tensors(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        archive.writestr("b/constants.pkl", "")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_tensors(tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="cannot be opened: No such file"):
        read_tensors(tmp_path / "c.pt")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path, share: float, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    saved(path, sd1()) if suffix == "safetensors" else torch_saved(path, {"state_dict": sd1()})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"truncated|download it again"):
        load_checkpoint(path)


OTHERS: dict[str, tuple[list[str], str]] = {
    "kohya": (["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "lora_unet_x.alpha"], "a LoRA"),
    "peft": (["diffusion_model.blocks.0.attn.q.lora_A.weight"], "a LoRA"),
    "control": (["control_model.input_blocks.0.0.weight"], "a ControlNet"),
    "embedding": (["emb_params"], "a textual inversion"),
    "upscaler": (["body.0.rdb1.conv1.weight"], "an upscaler"),
    "clip": (["text_model.encoder.layers.0.mlp.fc1.weight"], "a text encoder"),
    "t5": (["shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"], "a text encoder"),
    "unknown": (["foo.weight"], "no known model: its tensors are called foo.weight"),
}


@pytest.mark.parametrize("name", [*OTHERS])
def test_another_kind_of_file_is_named(tmp_path: Path, name: str) -> None:
    names, reason = OTHERS[name]
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(saved(tmp_path / "x.safetensors", {key: torch.zeros(1) for key in names}))


def test_a_configuration_beside_the_file_may_say_that_it_predicts_velocity(tmp_path: Path) -> None:
    path = saved(tmp_path / "fluff.safetensors", sd1())
    assert load_checkpoint(path).family.prediction.kind == "eps"
    (tmp_path / "fluff.yaml").write_text('model:\n  params:\n    parameterization: "v"\n    timesteps: 1000\n')
    assert load_checkpoint(path).family.prediction.kind == "v"
    assert load_denoiser(path).family.prediction.zero_terminal_snr
