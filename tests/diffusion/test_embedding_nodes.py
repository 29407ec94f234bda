"""A prompt is read again when an embedding it names has come, gone or changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.folders import Folders
from engine.run import Job, Run
from nodes.embeddings import embedding_finder, embeddings_in


@pytest.mark.parametrize(
    "prompt", ["a embedding:style, cat", "embedding:style", "(embedding:style:1.2)", "a\nembedding:style.safetensors"]
)
def test_a_changed_embedding_is_another_fingerprint(tmp_path: Path, prompt: str) -> None:
    run = Run(job=Job(folders=Folders(base=tmp_path)))
    missing = embeddings_in(run, prompt)
    folder = tmp_path / "models" / "embeddings"
    folder.mkdir(parents=True)
    save_file({"emb_params": torch.zeros(1, 8)}, folder / "style.safetensors")
    first = embeddings_in(run, prompt, None)
    save_file({"emb_params": torch.zeros(2, 8)}, folder / "style.safetensors")
    assert len({missing, first, embeddings_in(run, prompt), ""}) == 4
    assert embedding_finder(run)("style") == folder / "style.safetensors"
    assert embeddings_in(run, "no embedding here", None) == ""
