"""Damaged and malicious files: whatever stands in them, the answer is tensors or a CheckpointError, soon, and no code runs."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tempfile
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from engine.diffusion.containers import CheckpointError, read_tensors

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def valid(kind: str) -> bytes:
    if kind == "safetensors":
        return save(TENSORS)
    if kind == "gguf":
        return gguf_file()
    buffer = io.BytesIO()
    torch.save({"state_dict": TENSORS}, buffer, _use_new_zipfile_serialization=kind == "zip")
    return buffer.getvalue()


def gguf_file() -> bytes:
    """A GGUF file with a block weight, a plain one, and values of all sorts."""
    with tempfile.TemporaryDirectory() as folder:
        writer = gguf.GGUFWriter(f"{folder}/x.gguf", "sd1")
        writer.add_array("tokens", ["a", "b"])
        writer.add_array("comfy.gguf.orig_shape.a.weight", [2, 32])
        writer.add_bool("flag", True)
        blocks = gguf.quants.quantize(np.ones((2, 32), np.float32), gguf.GGMLQuantizationType.Q4_0)
        writer.add_tensor("a.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
        writer.add_tensor("b", np.ones(4, np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return Path(f"{folder}/x.gguf").read_bytes()


def readable(path: Path, content: bytes) -> bool:
    """Whether the file gave tensors; anything but a CheckpointError fails the test."""
    path.write_bytes(content)
    try:
        for tensor in read_tensors(path).tensors.values():
            tensor.clone()
    except CheckpointError as error:
        if not str(error).startswith(f"{path.name}: "):
            raise
        return False
    return True


@given(
    kind=st.sampled_from(["safetensors", "zip", "legacy", "gguf"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0, 1),
)
@FUZZ
def test_changed_bytes_and_cut_ends(tmp_path: Path, kind: str, edits: list[tuple[float, int]], keep: float) -> None:
    content = bytearray(valid(kind))
    for place, value in edits:
        content[int(place * len(content))] = value
    readable(tmp_path / "x.bin", bytes(content if keep > 0.5 else content[: int(len(content) * keep * 2)]))


@given(content=st.binary(max_size=300))
@FUZZ
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    readable(tmp_path / "x.bin", content)
    readable(tmp_path / "y.bin", b"\x80\x02" + content)
    readable(tmp_path / "z.bin", b"PK\x03\x04" + content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "U8", "F8_E4M3"]) | JSON,
        "shape": st.lists(st.integers(-2, 2**40), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-4, 2**40), min_size=2, max_size=2) | JSON,
    },
)


HEADER = st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), ENTRY | JSON, max_size=3) | JSON


@given(header=HEADER, data=st.binary(max_size=64))
@FUZZ
def test_any_header(tmp_path: Path, header: object, data: bytes) -> None:
    text = json.dumps(header).encode()
    readable(tmp_path / "x.safetensors", struct.pack("<Q", len(text)) + text + data)


@given(
    module=st.sampled_from(["os", "builtins", "subprocess", "torch", "torch.storage", "sys", "importlib", "numpy", "ctypes"]),
    name=st.sampled_from(["system", "eval", "exec", "Popen", "load", "__import__", "modules", "hub", "CDLL", "getattr", "open"]),
)
@FUZZ
def test_any_global_that_is_no_tensor_is_refused(tmp_path: Path, module: str, name: str) -> None:
    code = f"c{module}\n{name}\n(S'1'\ntR.".encode()
    for content in (code, b"\x80\x02" + code, pickle.dumps(TENSORS["b"].numpy().tolist())[:-1] + code):
        assert not readable(tmp_path / "x.ckpt", content)


def test_a_memo_of_billions_is_not_allocated(tmp_path: Path) -> None:
    assert not readable(tmp_path / "x.ckpt", b"\x80\x02}r\xff\xff\xff\x7f.")


def test_a_header_with_thousands_of_tensors_of_nothing_is_read_quickly(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({f"t{i}": entry for i in range(20_000)}).encode()
    assert readable(tmp_path / "x.safetensors", struct.pack("<Q", len(text)) + text)
