"""Prompts: tokens, weights, chunks, embeddings, and the numbers that come out, against transformers' CLIP."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.clip import Clip
from engine.diffusion.text import stacks, towers
from engine.diffusion.text.bpe import END, START, ClipBpe
from engine.diffusion.text.chunks import empty, groups, rows
from engine.diffusion.text.network import TextConfig
from engine.diffusion.text.weights import parse
from tests.diffusion import originals

SMALL = TextConfig(width=128, layers=3, hidden=256, activation="quick_gelu")
BIG = TextConfig(width=192, layers=3, hidden=256, activation="gelu", projection=128)
BPE = ClipBpe()


def tower_tensors(config: TextConfig, seed: int = 0) -> dict[str, Tensor]:
    return originals.filled(originals.tower(config), seed)


def clip(stack: str = "sd1", **more: Any) -> Clip:
    configs = {"l": SMALL, "g": BIG, "h": BIG}
    parts = []
    for slot in stacks.STACKS[stack]:
        part = towers.part(tower_tensors(configs[slot.name]), slot.name)
        assert part is not None
        parts.append(part)
    return Clip(stacks.assemble(stack, parts), **more)


def reference(config: TextConfig, tensors: dict[str, Tensor]) -> Any:
    """transformers' network with the same weights; since 5.6 its plain text model has no ``text_model.`` in its names."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    settings = CLIPTextConfig(
        hidden_size=config.width,
        intermediate_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        hidden_act=config.activation,
        projection_dim=config.projection or config.width,
        eos_token_id=END,
    )
    network = CLIPTextModelWithProjection(settings).eval()
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all(name.startswith("text_projection") or "position_ids" in name for name in missing)
    return network


def ids(text: str, pad: int = END) -> list[int]:
    row = [START, *BPE.ids(text), END]
    return row + [pad] * (77 - len(row))


# Tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("A PHOTO  of\na cat", [320, 1125, 539, 320, 2368]),
        ("an astronaut riding a horse on mars", [550, 18376, 6765, 320, 4558, 525, 7496]),
    ],
)
def test_tokens_are_those_of_openais_clip(text: str, expected: list[int]) -> None:
    assert BPE.ids(text) == expected


@pytest.mark.parametrize(
    "text", ["it's 4k, (weird) café", "日本 🤖 <|endoftext|> foo_bar", "don't   stop!!! ...", "Ünïcödé № ½", ""]
)
def test_tokens_are_those_of_transformers(text: str) -> None:
    from transformers import CLIPTokenizer

    from engine.diffusion.text.bpe import VOCABULARY

    theirs = CLIPTokenizer(str(VOCABULARY / "vocab.json"), str(VOCABULARY / "merges.txt"))
    assert [START, *BPE.ids(text), END] == theirs(text).input_ids


# Weights


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a (cat)", [("a ", 1.0), ("cat", 1.1)]),
        ("a (cat:1.3) b", [("a ", 1.0), ("cat", 1.3), (" b", 1.0)]),
        ("((cat))", [("cat", 1.21)]),
        ("(a (b:1.5) c)", [("a ", 1.1), ("b", 1.5), (" c", 1.1)]),
        ("(a (b) c:2)", [("a ", 2.0), ("b", 2.2), (" c", 2.0)]),
        (r"\(cat\)", [("(cat)", 1.0)]),
        (r"(smile \(happy\):1.2)", [("smile (happy)", 1.2)]),
        ("[cat]", [("[cat]", 1.0)]),
        ("(cat:big)", [("cat:big", 1.1)]),
        ("(:1.3)", [(":1.3", 1.1)]),
        ("(cat:-0.5)", [("cat", -0.5)]),
        ("(cat", [("(cat", 1.0)]),
        ("cat)", [("cat)", 1.0)]),
        ("time 12:30 (dog:0.9)", [("time 12:30 ", 1.0), ("dog", 0.9)]),
        ("", []),
    ],
)
def test_weights(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = parse(prompt)
    assert [text for text, _ in found] == [text for text, _ in expected]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in expected])


@given(st.text(alphabet="ab ():\\1.", max_size=60))
def test_any_text_is_a_prompt_and_no_letter_is_lost(prompt: str) -> None:
    assert "".join(text for text, _ in parse(prompt)).count("a") == prompt.count("a")


def test_ten_thousand_brackets_are_no_problem() -> None:
    parse("(" * 10_000 + "a" + ")" * 10_000)


# Rows


def test_a_short_prompt_is_one_padded_row() -> None:
    row = [token.id for token in rows(groups("a cat", BPE, None, "l", 8), 0)[0]]
    assert row == [START, 320, 2368, END] + [0] * 73


def test_an_empty_prompt_is_one_row() -> None:
    assert rows([], END) == [empty(END)]


def test_a_long_prompt_fills_rows_of_75() -> None:
    made = rows(groups("cat " * 160, BPE, None, "l", 8), END)
    assert [sum(token.id == 2368 for token in row) for row in made] == [75, 75, 10]
    assert all(len(row) == 77 and row[0].id == START for row in made)


def test_a_short_weighted_run_is_not_split_over_rows() -> None:
    made = rows(groups("cat " * 72 + "(dog dog dog dog dog:1.2)", BPE, None, "l", 8), END)
    assert [sum(token.id == 1929 for token in row) for row in made] == [0, 5]
    split = rows(groups("cat " * 72 + "(dog dog dog dog dog dog dog dog:1.2)", BPE, None, "l", 8), END)
    assert [sum(token.id == 1929 for token in row) for row in split] == [3, 5]


# Features


@pytest.mark.parametrize("layout", ["transformers", "open_clip"])
def test_features_are_those_of_transformers(layout: str) -> None:
    tensors = tower_tensors(BIG)
    part = towers.part(originals.open_clip(tensors) if layout == "open_clip" else tensors, "g")
    assert part is not None
    ours = Clip(stacks.assemble("sdxl_refiner", [part])).encode("a photo of a cat")
    theirs = reference(BIG, tensors)(torch.tensor([ids("a photo of a cat", 0)]), output_hidden_states=True)
    assert torch.allclose(ours[0][0], theirs.hidden_states[-2], atol=1e-5)
    assert torch.allclose(ours[0][1]["pooled_output"], theirs.text_embeds, atol=1e-5)


def test_sd1_uses_the_last_layer_normalised_and_clip_skip_an_earlier_one() -> None:
    network = reference(SMALL, tower_tensors(SMALL))
    states = network(torch.tensor([ids("a photo of a cat")]), output_hidden_states=True)
    norm = network.text_model.final_layer_norm
    one = clip("sd1")
    for layer in (-1, -2, -3):
        assert torch.allclose(
            one.with_last_layer(layer).encode("a photo of a cat")[0][0], norm(states.hidden_states[layer]), atol=1e-5
        )
    assert torch.equal(one.encode("x")[0][0], one.with_last_layer(-1).encode("x")[0][0])
    assert torch.equal(one.encode("x")[0][0], one.with_last_layer(-24).encode("x")[0][0])


def test_sdxl_joins_both_towers_layers_before_the_last() -> None:
    tokens, options = clip("sdxl").encode("a photo of a cat", width=512)[0]
    small = reference(SMALL, tower_tensors(SMALL))(torch.tensor([ids("a photo of a cat")]), output_hidden_states=True)
    big = reference(BIG, tower_tensors(BIG))(torch.tensor([ids("a photo of a cat", 0)]), output_hidden_states=True)
    assert torch.allclose(tokens, torch.cat([small.hidden_states[-2], big.hidden_states[-2]], dim=-1), atol=1e-5)
    assert torch.allclose(options["pooled_output"], big.text_embeds, atol=1e-5)
    assert options["width"] == 512


def test_novelais_names_without_text_model_load() -> None:
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in tower_tensors(SMALL).items()}
    part = towers.part(tensors)
    assert part is not None
    assert torch.equal(Clip(stacks.assemble("sd1", [part])).encode("a cat")[0][0], clip("sd1").encode("a cat")[0][0])


def test_a_weight_moves_a_token_from_its_place_in_the_empty_prompt() -> None:
    one = clip("sd1")
    plain, nothing = one.encode("a cat")[0][0], one.encode("")[0][0]
    weighted = one.encode("a (cat:1.5)")[0][0]
    expected = plain.clone()
    expected[:, 2] = nothing[:, 2] + (plain[:, 2] - nothing[:, 2]) * 1.5
    assert torch.allclose(weighted, expected, atol=1e-6)
    assert torch.equal(one.encode("a (cat:1.0)")[0][0], plain)


def test_long_prompts_are_rows_side_by_side_and_the_first_is_pooled() -> None:
    one = clip("sd1")
    long = "cat " * 75
    tokens, options = one.encode(long + "a dog")[0]
    assert tokens.shape == (1, 154, 128)
    first, second = one.encode(long)[0], one.encode("a dog")[0]
    assert torch.allclose(tokens, torch.cat([first[0], second[0]], dim=1), atol=1e-6)
    assert torch.allclose(options["pooled_output"], first[1]["pooled_output"], atol=1e-6)


def test_several_prompts_at_once_are_as_one_by_one() -> None:
    one = clip("sdxl")
    texts = ["a (cat:1.2)", "", "cat " * 80]
    for together, text in zip(one.encode_many(texts), texts, strict=True):
        alone = one.encode(text)
        assert torch.allclose(together[0][0], alone[0][0], atol=1e-5)
        assert torch.allclose(together[0][1]["pooled_output"], alone[0][1]["pooled_output"], atol=1e-5)


def test_each_tower_may_read_its_own_text() -> None:
    one = clip("sdxl")
    mixed = one.encode_per_encoder({"l": "cat " * 80, "g": "a dog"})[0][0]
    assert mixed.shape == (1, 154, 128 + 192)
    assert torch.allclose(mixed[:, :77, 128:], one.encode("a dog")[0][0][..., 128:], atol=1e-5)


# Embeddings


def embedded(tmp_path: Path, tensors: dict[str, Tensor], suffix: str = ".safetensors") -> Clip:
    path = tmp_path / f"style{suffix}"
    if suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"string_to_token": {"*": 265}, "string_to_param": tensors, "name": "style", "step": 10}, path)
    return clip("sd1", embeddings=lambda name: path if name == "style" else None)


def test_an_embedding_of_a_words_vector_is_the_word(tmp_path: Path) -> None:
    table = tower_tensors(SMALL)["text_model.embeddings.token_embedding.weight"]
    one = embedded(tmp_path, {"emb_params": table[BPE.ids("red cat")]})
    assert torch.allclose(one.encode("a embedding:style on grass")[0][0], one.encode("a red cat on grass")[0][0], atol=1e-6)
    assert torch.allclose(one.encode("embedding:style, grass")[0][0], one.encode("red cat, grass")[0][0], atol=1e-6)
    assert torch.allclose(one.encode("a (embedding:style:1.3)")[0][0], one.encode("a (red cat:1.3)")[0][0], atol=1e-6)


def test_embeddings_of_automatic1111_and_of_one_vector_load(tmp_path: Path) -> None:
    table = tower_tensors(SMALL)["text_model.embeddings.token_embedding.weight"]
    one = embedded(tmp_path, {"*": table[BPE.ids("cat")]}, ".pt")
    assert torch.allclose(one.encode("a embedding:style")[0][0], one.encode("a cat")[0][0], atol=1e-6)
    one = embedded(tmp_path, {"<style>": table[BPE.ids("cat")][0]})
    assert torch.allclose(one.encode("a embedding:style")[0][0], one.encode("a cat")[0][0], atol=1e-6)


def test_an_unknown_or_unfit_embedding_is_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = embedded(tmp_path, {"emb_params": torch.zeros(2, 768)})
    with caplog.at_level(logging.WARNING):
        assert torch.equal(one.encode("a embedding:nothing cat")[0][0], one.encode("a cat")[0][0])
        assert torch.equal(one.encode("a embedding:style cat")[0][0], one.encode("a cat")[0][0])
    assert "'nothing' was not found" in caplog.text
    assert "(2, 768)" in caplog.text
