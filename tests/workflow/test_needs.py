"""A model that a workflow names, but that is here under another name, is offered by that name and never put in its place."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.folders import Folders
from engine.model_hashes import ModelHashes
from engine.workflow.needs import named_models
from tests.server.conftest import Server, make_server, options  # noqa: F401

DATA = b"weights of a model"
DIGEST = hashlib.sha256(DATA).hexdigest()


def flow(name: str, digest: str = DIGEST, directory: str = "checkpoints") -> dict[str, Any]:
    """A loader of a file, as ComfyUI's templates describe it."""
    model = {"name": name, "url": "https://a.example/x", "directory": directory, "hash": digest, "hash_type": "SHA256"}
    node = {"id": 1, "type": "Choice", "widgets_values": [name], "properties": {"models": [model]}}
    return {"nodes": [node], "links": [], "version": 0.4}


def test_entries_of_nodes_files_and_subgraphs() -> None:
    inner = {
        "id": "s",
        "nodes": [{"id": 1, "properties": {"models": [{"name": "d/B.ckpt", "directory": "unet", "hash": "0xAB"}]}}],
    }
    found = named_models({
        "nodes": [5, {"properties": None}, *flow("a.safetensors")["nodes"]], "definitions": {"subgraphs": [inner]},
        "models": [{"name": "c.pt", "directory": "loras", "hash": "x", "hash_type": "BLAKE3"}, {"name": 1}, "junk"],
    })  # fmt: skip
    assert {key: (entry.directory, entry.sha256) for key, entry in found.items()} == {
        "a.safetensors": ("checkpoints", DIGEST), "b.ckpt": ("diffusion_models", "ab"),
    }  # fmt: skip
    for junk in (None, 5, [], {"nodes": 5, "models": {}, "definitions": []}):
        assert named_models(junk) == {}


def test_hashes_are_kept_until_the_file_changes(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "loras"
    folder.mkdir(parents=True)
    for name, data in (("one.safetensors", DATA), ("two.safetensors", b"other")):
        (folder / name).write_bytes(data)
    kept = tmp_path / "user" / "hashes.json"
    hashes = ModelHashes(Folders(base=tmp_path), kept)
    assert hashes.find("loras", DIGEST, seconds=60) == ("one.safetensors", True)
    assert hashes.find("loras", DIGEST[:10].upper(), seconds=60) == ("one.safetensors", True)
    assert hashes.find("loras", "0" * 64, seconds=60) == (None, True)
    assert hashes.find("loras", DIGEST[:9]) == (None, True)
    assert hashes.find("nothing", DIGEST) == (None, True)
    while not kept.is_file():
        pass
    os.truncate(folder / "two.safetensors", 2)
    again = ModelHashes(Folders(base=tmp_path), kept)
    assert again.find("loras", hashlib.sha256(b"ot").hexdigest(), seconds=60) == ("two.safetensors", True)
    kept.write_text("no JSON")
    assert ModelHashes(Folders(base=tmp_path), kept).find("loras", DIGEST, seconds=60)[0] == "one.safetensors"


def test_an_unknown_type_comes_with_its_pack(make_server: Callable[..., Server]) -> None:  # noqa: F811
    server = make_server()
    data = flow("a", directory="loras")
    data["nodes"] += [
        {"id": 2, "type": "Unheard", "properties": {"cnr_id": "a-pack"}},
        {"id": 3, "type": "Of", "properties": {"aux_id": "me/nodes"}},
        {"id": 4, "type": "Shoe", "properties": {"cnr_id": 5}},
    ]
    told = server.post("/prompt", json={"workflow": data}).json["node_errors"]
    faults = {node: entry["errors"][0] for node, entry in told.items()}
    assert faults["2"]["cure"] == "The pack a-pack has it: python main.py packs add ADDRESS"
    assert faults["2"]["extra_info"]["pack"] == "a-pack"
    assert faults["3"]["cure"].endswith("packs add https://github.com/me/nodes")
    assert "Show" in faults["4"]["cure"]


def test_the_server_offers_it(make_server: Callable[..., Server], tmp_path: Path) -> None:  # noqa: F811
    server = make_server()
    folder = tmp_path / "models" / "checkpoints" / "mine"
    folder.mkdir()
    (folder / "renamed.safetensors").write_bytes(DATA)
    reply = server.post("/prompt", json={"workflow": flow("original.safetensors")})
    assert reply.status == 400
    (fault,) = reply.json["node_errors"]["1"]["errors"]
    assert fault["cure"] == "The same file is here as 'mine/renamed.safetensors': choose that."
    assert fault["extra_info"]["same_file"] == fault["extra_info"]["nearest"][0] == "mine/renamed.safetensors"
    prompt = {"1": {"class_type": "Choice", "inputs": {"name": "original.safetensors"}}}
    pnginfo = {"extra_pnginfo": {"workflow": flow("original.safetensors")}}
    assert "choose that" in server.post("/prompt", json={"prompt": prompt, "extra_data": pnginfo}).text
    part = {**prompt, "2": {"class_type": "Show", "inputs": {"value": 1}}}
    some = server.post("/prompt", json={"prompt": part, "extra_data": pnginfo})
    assert some.status == 200
    assert "choose that" in json.dumps(some.json["node_errors"])
    other = server.post("/prompt", json={"workflow": flow("original.safetensors", "1" * 64)})
    assert "choose that" not in other.text
    (tmp_path / "models" / "loras" / "sub").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "sub" / "Original.safetensors").write_bytes(b"x")
    elsewhere = server.post("/prompt", json={"workflow": flow("original.safetensors", "1" * 64)}).json
    assert elsewhere["node_errors"]["1"]["errors"][0]["cure"] == "It is in loras/sub/Original.safetensors."


def test_the_command_line_offers_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from main import main

    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints" / "here.safetensors").write_bytes(DATA)
    path = tmp_path / "flow.json"
    data = flow("gone.safetensors")
    data["nodes"][0]["type"] = "CheckpointLoaderSimple"
    save = {"id": 2, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 1}]}
    data["nodes"][0]["outputs"] = [{"name": "MODEL", "type": "MODEL", "links": [1]}]
    data |= {"nodes": [*data["nodes"], save], "links": [[1, 1, 0, 2, 0, "MODEL"]]}
    path.write_text(json.dumps(data))
    assert main(["check", str(path), "--base-directory", str(tmp_path)]) == 2
    assert "The same file is here as 'here.safetensors'" in capsys.readouterr().err
