"""Every name of ComfyUI's that popular packs use is there and does what they use it for."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.comfy.finder import MissingModuleError, MissingNameError, close_door, open_door
from engine.comfy.host import host
from engine.folders import PROJECT, Folders
from engine.registry import load
from engine.run import Job

from ..engine.toys import Loom

torch = pytest.importorskip("torch")
HERE = Path(__file__).parent


def listed(file: str) -> list[str]:
    lines = (HERE / file).read_text(encoding="utf-8").splitlines()
    return [line.partition(" ")[2] for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A LoRA, a ControlNet and an upscaler that fit the demo model."""
    from safetensors.torch import save_file

    from engine.comfy.weights import lora_keys
    from tests.diffusion.demo import demo_model
    from tests.diffusion.test_control import original_layout
    from tests.diffusion.test_upscale import weights

    base = tmp_path_factory.mktemp("models")
    part = demo_model().part
    spelled = next(name for name in lora_keys(part) if name.startswith("lora_unet_") and name.endswith("attn1_to_q"))
    width = part.stored["input_blocks.3.1.transformer_blocks.0.attn1.to_q.weight"].shape[0] if "64" not in spelled else 64
    generator = torch.Generator().manual_seed(3)
    down, up = (torch.randn(*size, generator=generator) for size in ((2, width), (width, 2)))
    made = {
        "lora": ("loras", {f"{spelled}.lora_down.weight": down, f"{spelled}.lora_up.weight": up}),
        "control": ("controlnet", original_layout()),
        "upscaler": ("upscale_models", weights()),
    }
    paths = {}
    for name, (folder, tensors) in made.items():
        (base / folder).mkdir()
        paths[name] = str(base / folder / f"popular-{name}.safetensors")
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, paths[name])
    return paths


@pytest.fixture(scope="module")
def loom(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loom]:
    found = load(packs=[HERE / "packs"], only=["popular"])
    assert found.failures == []
    extra = {Path(path).parent.name: (Path(path).parent,) for path in files.values()}
    folders = Folders(base=tmp_path_factory.mktemp("base"), models=PROJECT / "models", extra=extra)
    loom = Loom(specs=found.specs, folders=folders)
    host().specs, host().folders, host().options = found.specs, folders, {"listen": "127.0.0.1"}
    yield loom
    loom.executor.close()
    close_door()
    host.cache_clear()


@pytest.mark.parametrize("name", listed("names.txt"))
def test_a_popular_name_does_what_packs_use_it_for(loom: Loom, files: dict[str, str], name: str) -> None:
    nodes: dict[str, Any] = {
        "load": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "loom-demo.safetensors"}},
        "use": {
            "class_type": "Popular Use",
            "inputs": {"name": name, "model": ["load", 0], "clip": ["load", 1], "vae": ["load", 2], **files},
        },
    }
    job = Job(prompt=nodes, folders=loom.folders, client="somebody")
    assert loom.executor.run_sync(loom.graph(nodes), job).ui["use"]["text"] == [name]


def test_the_pack_uses_every_name_and_no_other(loom: Loom) -> None:
    assert set(sys.modules["custom_nodes.popular"].USES) == set(listed("names.txt"))


@pytest.mark.parametrize("module", listed("modules.txt"))
def test_a_popular_module_is_there_and_says_what_it_lacks(loom: Loom, module: str) -> None:
    open_door()
    found = importlib.import_module(module)
    with pytest.raises(MissingNameError, match=rf"uses {module}.no_such_name, which is not here. docs/packs.md"):
        found.no_such_name  # noqa: B018
    with pytest.raises((MissingModuleError, ModuleNotFoundError)):
        importlib.import_module(f"{module}.no_such_module")


def test_families_are_told_from_tensors(loom: Loom) -> None:
    open_door()
    detection = importlib.import_module("comfy.model_detection")
    tensors = importlib.import_module("comfy.utils").load_torch_file(str(PROJECT / "models/checkpoints/loom-demo.safetensors"))
    prefix = detection.unet_prefix_from_state_dict(tensors)
    assert prefix == "model.diffusion_model."
    config = detection.model_config_from_unet(tensors, prefix)
    assert type(config).__name__ == "SD15"
    assert detection.detect_unet_config(tensors, prefix)["in_channels"] == 4
    assert detection.model_config_from_unet({"a": torch.zeros(1)}, "") is None
    header = json.loads(importlib.import_module("comfy.utils").safetensors_header(tensors.path))
    shapes = {name: SimpleNamespace(**told) if name != "__metadata__" else told for name, told in header.items()}
    assert detection.detect_unet_config(shapes, prefix, "F32") == config.unet_config
    assert detection.count_blocks(["b.0.w", "b.1.w", "b.3.w"], "b.{}.") == 2
