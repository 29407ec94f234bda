"""Packs as their authors published them, from the package index, each in a process and an environment of its own.

Left out unless asked for with ``-m published``: it needs the index. Versions are those that were tried.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

import main
from engine.folders import Folders
from engine.packs.confinement import supported
from engine.packs.loading import load_nodes
from engine.settings import Settings

from ..engine.toys import Loom

pytestmark = [pytest.mark.published, pytest.mark.skipif(supported() is not None, reason=str(supported()))]
WHEELS = {"comfyui_tooling_nodes": "comfyui-tooling-nodes==0.1.0", "ComfyUI_Ib_CustomNodes": "comfyui-ib-customnodes==0.2.3"}
"""Packs whose wheel is the pack itself, by its folder."""

LIBRARIES = {
    "easy": (
        "ComfyUI-EasyNodes==1.2.7",
        """
import easy_nodes
from easy_nodes import ComfyNode, ImageTensor, NumberInput

easy_nodes.initialize_easy_nodes(default_category="easy", auto_register=False)


@ComfyNode()
def darker(image: ImageTensor, factor: float = NumberInput(0.5, 0, 1, step=0.1)) -> ImageTensor:
    return image * factor


NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = easy_nodes.get_node_mappings()
""",
    ),
    "orbit": ("comfyui-orbitquant==0.9.0", "from comfyui_orbitquant import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS\n"),
}
"""Packs that are a few lines over a package, which is in their requirements."""


@pytest.fixture(scope="module")
def loom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loom]:
    base = tmp_path_factory.mktemp("base")
    for name, wanted in WHEELS.items():
        words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(base / "wheels"), wanted]
        subprocess.run(words, check=True, capture_output=True)
        (wheel,) = (path for path in (base / "wheels").iterdir() if path.name.lower().startswith(name.lower()))
        with zipfile.ZipFile(wheel) as file:
            file.extractall(base / "custom_nodes")
    for name, (wanted, code) in LIBRARIES.items():
        (base / "custom_nodes" / name).mkdir()
        (base / "custom_nodes" / name / "__init__.py").write_text(code)
        (base / "custom_nodes" / name / "requirements.txt").write_text(wanted)
    for name in (*WHEELS, *LIBRARIES):
        assert main.main(["packs", "trust", name, "--isolate", "--base-directory", str(base)]) == 0
    found, _ = load_nodes(Settings(base_directory=base))
    assert found.failures == []
    loom = Loom(specs=found.specs, folders=Folders(base=base))
    yield loom
    loom.executor.close()


def n(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def test_their_nodes_are_there(loom: Loom) -> None:
    wanted = {"Darker", "ETN_CropImage", "ETN_ApplyMaskToImage", "ImageToPIL", "PILToImage", "OrbitQuantArtifactInspector"}
    assert wanted <= loom.specs.keys()


def test_four_of_them_in_one_graph(loom: Loom) -> None:
    """A grey picture, cropped by one pack, darkened by another, taken through PIL by a third."""
    nodes = {
        "grey": n("EmptyImage", width=32, height=16, batch_size=1, color=0x808080),
        "crop": n("ETN_CropImage", image=["grey", 0], x=4, y=2, width=8, height=6),
        "dark": n("Darker", image=["crop", 0], factor=0.5),
        "pil": n("ImageToPIL", images=["dark", 0]),
        "back": n("PILToImage", images=["pil", 0]),
        "show": n("PreviewImage", images=["back", 0]),
        "size": n("GetImageSize", image=["back", 0]),
        "width": n("PreviewAny", source=["size", 0]),
    }
    ui = loom.run(nodes).ui
    assert ui["width"]["text"] == ["8"]
    from PIL import Image

    (saved,) = ui["show"]["images"]
    with Image.open(loom.folders.work("temp") / saved["subfolder"] / saved["filename"]) as picture:
        assert picture.size == (8, 6)
        assert all(abs(value - 64) <= 1 for value in picture.convert("RGB").getpixel((0, 0)))
