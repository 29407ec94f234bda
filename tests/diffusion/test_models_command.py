"""``main.py models``: what it says of files and what it makes of them, as its user types it."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.commands import models
from engine.diffusion import merge_blocks
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.merging import cosine
from engine.diffusion.saving import stream_tensors
from engine.settings import Settings
from tests.diffusion.test_checkpoints import saved, sd1, torch_saved


def typed(folder: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args(list(words)), Settings(base_directory=folder))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    first = sd1()
    second = {name: tensor.float().mul(0.5).add(0.1).half() for name, tensor in first.items()}
    return saved(tmp_path / "a.safetensors", first), saved(tmp_path / "b.safetensors", second)


def weights(path: Path) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in load_file(path).items()}


def test_a_merge_is_the_formula_with_its_recipe_in_the_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    result = tmp_path / "c.safetensors"
    assert typed(tmp_path, "merge", str(a), str(b), str(result), "--alpha", "0.25") == 0
    first, second, merged = weights(a), weights(b), weights(result)
    assert merged.keys() == first.keys()
    for name, weight in merged.items():
        if not name.startswith("first_stage_model."):
            assert torch.allclose(weight, 0.75 * first[name] + 0.25 * second[name], atol=2e-3), name
    with safe_open(result, "pt") as file:
        recipe = json.loads(file.metadata()["loom.merge"])
    assert recipe["files"] == ["a.safetensors", "b.safetensors"]
    load_checkpoint(result)


def test_each_block_takes_its_own_share(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """BASE 1 (text from B), the way down from A, the middle half, the way up from B."""
    a, b = pair
    result = tmp_path / "c.safetensors"
    numbers = ",".join(["1", *["0"] * 12, "0.5", *["1"] * 12])
    assert typed(tmp_path, "merge", str(a), str(b), str(result), "--blocks", numbers) == 0
    first, second, merged = weights(a), weights(b), weights(result)
    shares = {"input_blocks": 0.0, "time_embed": 0.0, "middle_block": 0.5, "output_blocks": 1.0, "out": 1.0}
    for name, weight in merged.items():
        if name.startswith("first_stage_model."):
            continue
        inner = name.removeprefix("model.diffusion_model.")
        share = 1.0 if inner == name else shares[inner.split(".")[0]]
        assert torch.allclose(weight, torch.lerp(first[name], second[name], share), atol=2e-3), name


def test_block_weights_are_read_or_refused() -> None:
    named = merge_blocks.read("output_blocks.=0.3, output_blocks.2.=1", 0.5)
    assert [named(name) for name in ("output_blocks.1.x", "output_blocks.2.x", "input_blocks.1.x")] == [0.3, 1.0, 0.5]
    xl = merge_blocks.read(" ".join(map(str, range(20))), 0.5)
    assert (xl.base, xl("input_blocks.8.0.x"), xl("middle_block.1.x"), xl("output_blocks.0.x")) == (0, 9, 10, 11)
    assert (xl("label_emb.0.0.weight"), xl("time_embed.0.weight"), xl("out.2.weight")) == (0, 1, 19)
    with pytest.raises(ValueError, match=r"20 block weights are for 9 blocks each way, but this model has input_blocks\.11"):
        xl("input_blocks.11.0.x")
    with pytest.raises(ValueError, match="3 numbers; write 26 "):
        merge_blocks.read("1 2 3", 0.5)
    with pytest.raises(ValueError, match="'x' is no number"):
        merge_blocks.read("1,x", 0.5)


def test_cosine_keeps_what_is_alike() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    b = torch.tensor([[2.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
    merged = cosine(0.0)(a, b)
    assert torch.equal(merged[0], a[0])
    assert torch.equal(merged[1], b[1])
    assert torch.equal(cosine(1.0)(a, b), b)
    assert torch.equal(cosine(0.0)(a, a), a)


def test_prune_and_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "full.safetensors", sd1(**{"model_ema.decay": torch.zeros(1), "v_pred": torch.zeros(0)}))
    assert typed(tmp_path, "prune", str(path), str(tmp_path / "pruned.safetensors")) == 0
    pruned = load_file(tmp_path / "pruned.safetensors")
    assert "model_ema.decay" not in pruned
    assert "v_pred" in pruned
    assert typed(tmp_path, "convert", str(path), str(tmp_path / "wide.safetensors"), "--dtype", "fp32") == 0
    wide = load_file(tmp_path / "wide.safetensors")
    assert {tensor.dtype for tensor in wide.values()} == {torch.float32}
    assert all(torch.equal(wide[name], tensor.float()) for name, tensor in pruned.items())
    capsys.readouterr()
    assert typed(tmp_path, "inspect", str(path), "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["family"], report["prediction"], report["strays"]) == ("sd1", "v, zero terminal SNR", 1)
    assert typed(tmp_path, "hash", str(path), "--json") == 0
    digests = json.loads(capsys.readouterr().out)[str(path)]
    assert digests["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("merge", "A", "B", "R", "--method", "TIES"), "TIES merges 3 files, not 2"),
        (("inspect", "missing.safetensors"), "no checkpoints file 'missing.safetensors'"),
        (("merge", "A", "B", "R", "--blocks", "1,2"), "2 numbers; write 26"),
        (("merge", "A", "B", "R", "--method", "DARE", "--beta", "1"), "beta is from 0 to below 1"),
        (("merge", "A", "B", "R", "--lora", "A:x"), "'x' after the colon is no strength, such as 0.8"),
        (("merge", "A", "B", "A"), "name another, or add --overwrite"),
        (("merge", "A", "B", "FOLDER"), "is a folder: name the file to write"),
        (("merge", "A", "B", "FOLDER/none/r.safetensors"), "to write r.safetensors into"),
        (("convert", "A", "mine-v1.5"), "the result is a safetensors file: call it mine-v1.5.safetensors"),
        (("convert", "A", "r.ckpt"), "the result is a safetensors file: call it r.safetensors"),
        (("convert", "FOLDER", "R"), "no diffusers model: it has neither unet/ nor transformer/"),
        (("hash", "FOLDER"), "is a folder: name a file in it"),
        (("prune", "A", "R", "--average"), "the file has no running average of its training"),
        (("hash", "FOLDER/none"), "there is no file"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    words: tuple[str, ...], said: str, pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"A": str(pair[0]), "B": str(pair[1]), "R": str(tmp_path / "r.safetensors"), "FOLDER": str(tmp_path)}
    places |= {"A:x": f"{pair[0]}:x", "FOLDER/none": f"{tmp_path}/none"}
    places["FOLDER/none/r.safetensors"] = f"{tmp_path}/none/r.safetensors"
    assert typed(tmp_path, *(places.get(word, word) for word in words)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r.safetensors").exists()


def test_pages_of_the_files_are_let_go_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is read again when it is needed: letting go changes no bit."""
    from engine.diffusion import saving
    from engine.diffusion.containers import read_tensors

    tensors = {f"t{i}": torch.randn(64, 64) for i in range(20)}
    save_file(tensors, tmp_path / "x.safetensors")
    mapped = read_tensors(tmp_path / "x.safetensors").tensors
    times: list[Any] = []
    monkeypatch.setattr(saving, "HELD", 30_000)
    known = saving.return_memory
    monkeypatch.setattr(saving, "return_memory", lambda some: (times.append(1), known(some)))
    entries = {name: saving.Entry(tensor.dtype, tuple(tensor.shape)) for name, tensor in mapped.items()}
    saving.write(tmp_path / "y.safetensors", stream_tensors(entries, mapped.values(), {}, list(mapped.values())))
    assert len(times) == 10
    again = load_file(tmp_path / "y.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_one_bad_file_does_not_hide_the_others(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"<html>")
    for action in ("inspect", "hash"):
        assert typed(tmp_path, action, str(tmp_path / "none"), str(bad), str(pair[0]), "--json") == 2
        said = capsys.readouterr()
        assert "there is no file" in said.err
        assert str(json.loads(said.out)).count("a.safetensors") == 1


def test_a_merge_in_another_number_format_is_rounded_once(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    result = tmp_path / "c.safetensors"
    assert typed(tmp_path, "merge", str(a), str(b), str(result), "--alpha", "0.25", "--dtype", "fp32") == 0
    first, second, merged = weights(a), weights(b), load_file(result)
    name = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    assert torch.equal(merged[name], first[name] * 0.75 + second[name] * 0.25)
    assert typed(tmp_path, "merge", str(a), str(b), str(result), "--dtype", "fp8", "--overwrite") == 0
    types = {name.split(".")[0]: tensor.dtype for name, tensor in load_file(result).items() if tensor.ndim == 4}
    assert types == {"model": torch.float8_e4m3fn, "first_stage_model": torch.float16}
    load_checkpoint(result)


def test_files_of_every_precision_and_container_merge(tmp_path: Path) -> None:
    """A pickle in half precision, full of averages, with a file in bfloat16: what A is made of, mixed in float32."""
    first = sd1()
    second = {name: tensor.float().mul(0.5).add(0.1).bfloat16() for name, tensor in first.items()}
    a = torch_saved(tmp_path / "a.ckpt", {"state_dict": {**first, "model_ema.decay": torch.zeros(1), "betas": torch.zeros(9)}})
    b, result = saved(tmp_path / "b.safetensors", second), tmp_path / "c.safetensors"
    assert typed(tmp_path, "merge", str(a), str(b), str(result)) == 0
    merged = load_file(result)
    assert merged.keys() == first.keys()
    for name, weight in merged.items():
        wanted = (
            first[name] if name.startswith("first_stage_model.") else (first[name].float() / 2 + second[name].float() / 2).half()
        )
        assert torch.equal(weight, wanted), name


def test_presets_are_the_lists_people_share() -> None:
    """As written in the files they come from."""
    v = "1,0.9166666667,0.8333333333,0.75,0.6666666667,0.5833333333,0.5,0.4166666667,0.3333333333,0.25,0.1666666667,0.0833333333"
    ring, out = "0,0,0,0,0,0.5,1,1,1,0.5,0,0,0,0,0,0.5,1,1,1,0.5,0,0,0,0,0", "0,0,0,0,0,0,0,0,0,0,0,0,0.5,1,1,1,1,1,1,1,1,1,1,1,1"
    sigmoid = "0,0.00506365740740741,0.0196759259259259,0.04296875,0.0740740740740741,0.112123842592593,0.15625,0.205584490740741"
    for name, text in (("GRAD_V", v), ("RING08_SOFT", ring), ("OUT12_5", out), ("smoothstep", sigmoid)):
        wanted = [float(number) for number in text.split(",")]
        found = merge_blocks.read(name, 0.7)
        assert found.values[0] == 0.7, "BASE is alpha"
        assert found.values[1 : 1 + len(wanted)] == pytest.approx(wanted, abs=1e-9)
    assert all(len(values) == 25 for values in merge_blocks.MERGES.values())
    assert merge_blocks.read("MIDD", 1.0) == merge_blocks.read("1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0", 1.0)
    xl = merge_blocks.read("OUT07", 0.5)
    assert [xl(f"output_blocks.{i}.0.x") for i in (4, 5, 8)] == [0.0, 1.0, 1.0], "SDXL has the first nine of each way"
