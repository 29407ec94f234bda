"""A loader runs again when what it reads has changed, though the file that was chosen is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from engine.folders import Folders
from engine.graph import build
from engine.prints import Print, print_of
from engine.prompt import parse
from engine.registry import load
from engine.run import Job
from tests.diffusion.test_checkpoints import sd1

VELOCITY = 'model:\n  params:\n    parameterization: "v"\n'


def print_now(base: Path, kind: str, **inputs: str) -> Print:
    """What the node's result depends on besides its inputs."""
    folders = Folders(base=base)
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
    graph = build(parse({"1": {"class_type": kind, "inputs": inputs}, "2": shown}), load().specs, folders)
    return print_of(graph.steps["1"], Job(folders=folders))


@pytest.mark.parametrize(
    ("kind", "folder", "name"),
    [
        ("CheckpointLoaderSimple", "checkpoints", "ckpt_name"),
        ("unCLIPCheckpointLoader", "checkpoints", "ckpt_name"),
        ("UNETLoader", "diffusion_models", "unet_name"),
        ("UnetLoaderGGUF", "diffusion_models", "unet_name"),
    ],
)
def test_a_configuration_put_beside_the_model_counts(tmp_path: Path, kind: str, folder: str, name: str) -> None:
    path = tmp_path / "models" / folder / "fluff.safetensors"
    path.parent.mkdir(parents=True)
    save_file(sd1(), path)
    before = print_now(tmp_path, kind, **{name: "fluff.safetensors"})
    assert print_now(tmp_path, kind, **{name: "fluff.safetensors"}) == before
    path.with_suffix(".yaml").write_text(VELOCITY)
    assert print_now(tmp_path, kind, **{name: "fluff.safetensors"}) != before


def test_weights_put_into_a_diffusers_folder_count(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "diffusers" / "mine"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({}))
    before = print_now(tmp_path, "DiffusersLoader", model_path="mine")
    save_file(sd1(), folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert print_now(tmp_path, "DiffusersLoader", model_path="mine") != before
