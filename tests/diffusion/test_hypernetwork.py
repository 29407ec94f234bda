"""Hypernetworks from webui's pickles: the published module written out, and none at strength 0."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.diffusion.containers import read_tensors
from engine.diffusion.edits.hypernetwork import Hypernetwork, read_hypernetwork
from engine.diffusion.edits.places import EditError, attentions
from engine.diffusion.guidance import Guided, basic_guider
from engine.diffusion.model import Model
from tests.diffusion.demo import demo_model, prompt

A = prompt(1)
X = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(9)) * 2


def module(width: int, activation: type[nn.Module] | None, normed: bool, seed: int) -> nn.Sequential:
    """webui's HypernetworkModule with layers 1, 2, 1."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i, (into, out) in enumerate(((width, 2 * width), (2 * width, width))):
        layers.append(nn.Linear(into, out))
        if activation is not None and i == 0:
            layers.append(activation())
        if normed:
            layers.append(nn.LayerNorm(out))
    return nn.Sequential(*layers)


def stored(path: Path, name: str, activation: type[nn.Module] | None, normed: bool) -> dict[int, list[nn.Sequential]]:
    modules = {width: [module(width, activation, normed, width + side) for side in (0, 1)] for width in (64, 128)}
    states = {w: [{f"linear.{n}": t for n, t in one.state_dict().items()} for one in pair] for w, pair in modules.items()}
    torch.save({**states, "activation_func": name, "is_layer_norm": normed, "step": 3, "name": "test"}, path)
    return modules


@torch.no_grad()
def denoised(model: Model) -> Tensor:
    guider = basic_guider(model, A)
    with ExitStack() as stack:
        return Guided.start(guider, guider.open(stack), X, None, None)(X, torch.tensor(2.0))


@pytest.mark.parametrize(
    ("name", "activation", "normed"), [("linear", None, False), ("relu", nn.ReLU, True), ("mish", nn.Mish, False)]
)
def test_it_is_the_published_module_before_keys_and_values(
    tmp_path: Path, name: str, activation: type[nn.Module] | None, normed: bool
) -> None:
    modules = stored(tmp_path / "net.pt", name, activation, normed)
    file = read_tensors(tmp_path / "net.pt")
    model = demo_model()
    edit = Hypernetwork(read_hypernetwork(file.tensors, file.metadata), 0.7)
    ours = denoised(model.with_edit(edit))
    plain = denoised(model)
    handles = []
    for kind in ("attn1", "attn2"):
        for _, layer in attentions(model.network(), kind):
            if kind == "attn2":
                layer.processor = type(layer.processor)()
            for part, one in zip((layer.to_k, layer.to_v), modules[layer.to_k.in_features], strict=True):

                def before(module: Any, args: Any, one: nn.Sequential = one) -> Any:
                    return (args[0] + one(args[0]) * 0.7,)

                handles.append(part.register_forward_pre_hook(before))
    expected = denoised(model)
    for handle in handles:
        handle.remove()
    for _, layer in attentions(model.network(), "attn2"):
        layer.processor = type(layer.processor)()
    assert torch.allclose(ours, expected, atol=1e-4)
    assert not torch.allclose(ours, plain, atol=1e-3)
    assert torch.equal(denoised(model), plain)


def test_at_strength_0_it_is_nothing_and_other_files_are_refused(tmp_path: Path) -> None:
    stored(tmp_path / "net.pt", "linear", None, False)
    file = read_tensors(tmp_path / "net.pt")
    networks = read_hypernetwork(file.tensors, file.metadata)
    assert torch.equal(denoised(demo_model().with_edit(Hypernetwork(networks, 0.0))), denoised(demo_model()))
    with pytest.raises(EditError, match="no hypernetwork"):
        read_hypernetwork({"a.weight": torch.zeros(1)}, {})
    with pytest.raises(EditError, match="'sine' is not known"):
        read_hypernetwork(file.tensors, {"activation_func": "sine"})
