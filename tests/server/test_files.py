"""Files in and out: /view, uploads, userdata, settings, models, assets, packs; nothing leaves its folder."""

import hashlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.server.conftest import Reply, Server, chain

OUTSIDE = ["../secret.txt", "..\\secret.txt", "/etc/passwd", "a/../../secret.txt", "C:\\secret.txt", "a\0b", "....//secret.txt"]


def png(size: tuple[int, int] = (8, 4), colour: Any = (255, 0, 0, 128), **text: str) -> bytes:
    info = PngInfo()
    for name, value in text.items():
        info.add_text(name, value)
    out = io.BytesIO()
    Image.new("RGBA", size, colour).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def upload(server: Server, data: bytes, name: str = "a.png", path: str = "/upload/image", **fields: str) -> Reply:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("image", data, filename=name, content_type="image/png")
    for key, value in fields.items():
        form.add_field(key, value)
    return server.post(path, data=form)


def test_an_upload_is_seen(server: Server) -> None:
    reply = upload(server, png())
    told = reply.json
    asset = told["asset"]
    assert (told["name"], told["subfolder"], told["type"]) == ("a.png", "", "input")
    assert asset["asset_hash"].startswith("blake3:")
    seen = server.get("/view?filename=a.png&type=input")
    assert seen.body == png()
    assert seen.headers["Content-Type"] == "image/png"
    assert seen.headers["Content-Disposition"] == 'filename="a.png"'
    assert server.get("/view?filename=a.png [input]").body == png()
    part = server.get("/view?filename=a.png&type=input", headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"\x89PNG")
    assert server.get("/view?filename=a.png&type=input", headers={"If-None-Match": seen.headers["ETag"]}).status == 304
    assert server.get(f"/view?filename={asset['asset_hash']}").body == png()


def test_names_are_not_taken_twice(server: Server) -> None:
    assert upload(server, png()).json["name"] == "a.png"
    assert upload(server, png()).json["name"] == "a.png"
    assert upload(server, png(colour="blue")).json["name"] == "a (1).png"
    assert upload(server, png(colour="green"), overwrite="true").json["name"] == "a.png"
    assert server.get("/view?filename=a.png&type=input").body == png(colour="green")
    told = upload(server, png(), subfolder="x/y", type="temp").json
    assert (told["subfolder"], told["type"]) == ("x/y", "temp")
    assert server.get("/view?filename=a.png&type=temp&subfolder=x/y").status == 200


def test_odd_names_become_plain_ones(server: Server, tmp_path: Path) -> None:
    for name, wanted in {
        "../../x.png": "x.png", "C:\\dir\\y.png": "y.png", "con.png": "_con.png", "a*b?.png": "a_b_.png", "é 🐈.png": "é 🐈.png",
        "l" * 400 + ".png": None,
    }.items():  # fmt: skip
        told = upload(server, png(colour="red"), name)
        assert told.status == 200, (name, told.text)
        assert told.json["name"] == wanted or (wanted is None and len(told.json["name"]) <= 200)
        assert server.get("/view", params={"filename": told.json["name"], "type": "input"}).status == 200
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "input"}


@pytest.mark.parametrize("subfolder", ["../x", "/etc", "a/../../x", "C:\\x", "nul", "a\0b"])
def test_uploads_stay_in_their_folder(server: Server, tmp_path: Path, subfolder: str) -> None:
    assert upload(server, png(), subfolder=subfolder).status == 400
    assert not list(tmp_path.rglob("*.png"))


def test_uploads_that_are_none(server: Server) -> None:
    assert server.post("/upload/image", data=b"x").status == 400
    assert server.post("/upload/image", json={}).status == 400
    assert server.post("/upload/image", data=b"x", headers={"Content-Type": "multipart/form-data; boundary=y"}).status == 400
    assert server.post("/upload/image", data=b"x", headers={"Content-Type": "multipart/form-data"}).status == 400
    assert upload(server, png(), type="nowhere").status == 400
    form = aiohttp.FormData({"type": "input"}, default_to_multipart=True)
    assert server.post("/upload/image", data=form).status == 400


def test_limits_of_uploads(make_server: Any) -> None:
    server: Server = make_server(max_upload=5000, max_pixels=1000)
    assert upload(server, b"x" * 10_000).status == 413
    assert upload(server, png((100, 100))).status == 422
    bomb = bytearray(png())
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    assert upload(server, bytes(bomb)).status == 422
    assert server.post("/prompt", data=b" " * 10_000).status == 413


def test_a_mask_joins_its_picture(server: Server) -> None:
    upload(server, png((8, 8), (1, 2, 3, 255), prompt="{}"), "original.png")
    mask = png((8, 8), (0, 0, 0, 77))
    reference = json.dumps({"filename": "original.png", "type": "input", "subfolder": ""})
    reply = upload(server, mask, "masked.png", "/upload/mask", original_ref=reference)
    assert reply.json["name"] == "masked.png"
    image = Image.open(io.BytesIO(server.get("/view?filename=masked.png&type=input").body))
    assert image.convert("RGBA").getpixel((0, 0)) == (1, 2, 3, 77)
    assert image.info["prompt"] == "{}"
    for bad in ("", "x", "[]", '{"filename": 5}', '{"filename": "../x"}'):
        assert upload(server, mask, "m.png", "/upload/mask", original_ref=bad).status == 400
    gone = json.dumps({"filename": "gone.png", "type": "input"})
    assert upload(server, mask, "m.png", "/upload/mask", original_ref=gone).status == 404
    assert upload(server, b"nothing", "m.png", "/upload/mask", original_ref=reference).status == 422


@pytest.mark.parametrize("name", OUTSIDE)
def test_view_stays_in_its_folder(server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "output" / "a").mkdir(parents=True)
    assert server.get("/view", params={"filename": name}).status in (400, 404)
    assert server.get("/view", params={"filename": "secret.txt", "subfolder": name.rpartition("secret")[0] or name}).status in (
        403,
        404,
    )


def test_view_does_not_follow_links_out(server: Server, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "output" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "output" / "up").symlink_to(tmp_path)
    assert server.get("/view?filename=link.txt").status in (400, 403, 404)
    assert server.get("/view?filename=secret.txt&subfolder=up").status == 403


def test_view_refusals(server: Server) -> None:
    assert server.get("/view").status == 404
    assert server.get("/view?filename=gone.png").status == 404
    assert server.get("/view?filename=a.png&type=models").status == 400


def test_what_a_run_made_can_be_deleted_and_nothing_else(server: Server, tmp_path: Path) -> None:
    for folder in ("output", "input", "temp"):
        (tmp_path / folder / "sub").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "sub" / "a.png").write_bytes(b"x")
    (tmp_path / "secret.txt").write_text("secret")
    assert server.request("DELETE", "/view?filename=a.png&subfolder=sub").status == 204
    assert server.request("DELETE", "/view?filename=a.png&subfolder=sub&type=temp").status == 204
    assert server.request("DELETE", "/view?filename=a.png&subfolder=sub").status == 404
    assert server.request("DELETE", "/view?filename=a.png&subfolder=sub&type=input").status == 403
    assert server.request("DELETE", "/view?filename=a.png [input]&subfolder=sub").status == 403
    for name in (*OUTSIDE, "", "sub"):
        assert server.request("DELETE", "/view", params={"filename": name}).status in (400, 403, 404)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.name in ("a.png", "secret.txt"))
    assert left == ["input/sub/a.png", "secret.txt"]


def test_active_files_never_run_on_our_origin(server: Server) -> None:
    page = b"<html><script>alert(1)</script></html>"
    for name in ("a.html", "a.svg", "a.js", "a.css", "a.xml", "a.xhtml"):
        upload(server, page, name)
        reply = server.get(f"/view?filename={name}&type=input")
        assert reply.headers["Content-Type"] == "application/octet-stream"
        assert reply.headers["Content-Disposition"].startswith("attachment")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in reply.headers["Content-Security-Policy"]


def test_previews_and_channels(server: Server) -> None:
    upload(server, png((16, 8), (10, 20, 30, 40)))
    for query, kind, mode in (
        ("preview=webp;50", "WEBP", "RGBA"), ("preview=jpeg", "JPEG", "RGB"), ("preview=bmp;x", "WEBP", "RGBA"),
        ("channel=rgb", "PNG", "RGB"), ("channel=a", "PNG", "RGBA"),
    ):  # fmt: skip
        image = Image.open(io.BytesIO(server.get(f"/view?filename=a.png&type=input&{query}").body))
        assert (image.format, image.mode, image.size) == (kind, mode, (16, 8))
    assert server.get("/view?filename=a.png&type=input&channel=x").status == 400
    upload(server, b"no picture", "b.png")
    assert server.get("/view?filename=b.png&type=input&preview=webp").status == 415
    upload(server, png((64, 64))[:90], "cut.png")
    assert server.get("/view?filename=cut.png&type=input&preview=webp").status in (415, 422)


def test_the_last_five_versions_of_a_workflow_stay_whoever_overwrites_it(server: Server) -> None:
    for text in (b"[0]", b"[0]", b"[1]", b"[2]", b"[3]", b"[4]", b"[5]", b"[6]"):
        server.post("/userdata/workflows%2Fdeep%2Fkept.json", data=text)
    found = server.get("/userdata?dir=workflows/.versions/deep/kept.json").json
    assert len(found) == 5
    names = [f"workflows/.versions/deep/kept.json/{name}".replace("/", "%2F") for name in sorted(found)]
    assert [server.get(f"/userdata/{name}").body for name in names] == [b"[1]", b"[2]", b"[3]", b"[4]", b"[5]"]
    assert server.get("/userdata/workflows%2Fdeep%2Fkept.json").body == b"[6]"
    server.post("/userdata/elsewhere%2Fx.json", data=b"1")
    server.post("/userdata/elsewhere%2Fx.json", data=b"2")
    assert server.get("/userdata?dir=elsewhere&recurse=true").json == ["x.json"]


def test_userdata(server: Server) -> None:
    assert server.get("/userdata").status == 400
    assert server.get("/userdata?dir=workflows").status == 404
    assert server.get("/v2/userdata").json == []
    assert server.post("/userdata/workflows%2Fa%2Fb.json", data=b"{}").json == "workflows/a/b.json"
    info = server.post("/userdata/workflows%2Fc.json?full_info=true", data=b"[1]").json
    assert info.keys() == {"path", "size", "modified", "created"}
    assert server.post("/userdata/workflows%2Fc.json?overwrite=false", data=b"x").status == 409
    assert server.get("/userdata/workflows%2Fc.json").body == b"[1]"
    assert server.get("/userdata?dir=workflows").json == ["c.json"]
    assert server.get("/userdata?dir=workflows&recurse=true").json == ["a/b.json", "c.json"] or ["c.json", "a/b.json"]
    assert server.get("/userdata?dir=workflows&recurse=true&split=true").json[-1][-1] == "b.json"
    assert server.get("/userdata?dir=workflows&full_info=true").json[0]["size"] == 3
    listed = server.get("/v2/userdata?path=workflows").json
    assert [(entry["name"], entry["type"]) for entry in listed] == [("a", "directory"), ("c.json", "file")]
    assert server.post("/userdata/workflows%2Fc.json/move/workflows%2Fd.json").json == "workflows/d.json"
    assert server.post("/userdata/workflows%2Fd.json/move/workflows%2Fa%2Fb.json?overwrite=false").status == 409
    assert server.request("DELETE", "/userdata/workflows%2Fd.json").status == 204
    assert server.request("DELETE", "/userdata/workflows%2Fd.json").status == 404
    assert server.get("/userdata/workflows%2Fd.json").status == 404
    assert server.post("/userdata/workflows", data=b"x").status == 400


@pytest.mark.parametrize(
    "name", ["..%2Fsecret", "..%2F..%2Fsecret", "%2Fetc%2Fpasswd", "a%00b", "..%5C..%5Csecret", "nul", "a%2Fcon.txt"]
)
def test_userdata_stays_in_its_folder(server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / "user").mkdir(exist_ok=True)
    (tmp_path / "user" / "secret").write_text("secret")
    before = sorted(path for path in tmp_path.rglob("*") if "loom.db" not in path.name)
    assert server.get(f"/userdata/{name}").status in (400, 403, 404)
    assert server.post(f"/userdata/{name}", data=b"x").status in (400, 403)
    assert server.request("DELETE", f"/userdata/{name}").status in (400, 403, 404)
    assert server.get(f"/userdata?dir={name}").status in (403, 404)
    assert server.get(f"/v2/userdata?path={name}").status in (403, 404)
    assert sorted(path for path in tmp_path.rglob("*") if "loom.db" not in path.name) == before


def test_settings(server: Server, tmp_path: Path) -> None:
    assert server.get("/settings").json == {}
    assert server.get("/settings/Comfy.X").json is None
    server.post("/settings/Comfy.X", json=[1, 2])
    server.post("/settings", json={"a": True, "b": None})
    assert server.get("/settings").json == {"Comfy.X": [1, 2], "a": True, "b": None}
    assert server.get("/settings/Comfy.X").json == [1, 2]
    assert json.loads((tmp_path / "user" / "default" / "comfy.settings.json").read_text())["a"] is True
    assert server.post("/settings", json=[1]).status == 400
    assert server.post("/settings", data=b"{").status == 400


def test_lineages_are_told_from_headers(server: Server, tmp_path: Path) -> None:
    for folder, name, shapes in (
        ("loras", "sub/flux.safetensors", {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": [4, 3072]}),
        ("vae", "wide.safetensors", {"decoder.conv_in.weight": [512, 16, 3, 3]}),
        ("vae", "odd.safetensors", {"weight": [1]}),
    ):
        path = tmp_path / "models" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]} for key, shape in shapes.items()}
        header = json.dumps(entries).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    told = server.get("/lineage").json
    assert told["loras"] == {"sub/flux.safetensors": {"kind": "lora", "family": "flux", "title": "Flux", "channels": 16}}
    assert told["vae"] == {"wide.safetensors": {"kind": "vae", "family": None, "title": None, "channels": 16}}


def test_what_a_model_file_is_and_what_it_is_called_by_its_content(server: Server, tmp_path: Path) -> None:
    tensor = {"lora_unet_down.lora_down.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps({**tensor, "__metadata__": {"modelspec.title": "SDXL Lightning, 8 steps"}}).encode()
    path = tmp_path / "models" / "loras" / "a.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    told = server.get("/model_facts/loras?filename=a.safetensors").json
    assert "LoRA" in told["kind"]
    made_for = {"steps": 8, "cfg": 1.0, "sampler": "euler", "scheduler": "sgm_uniform", "width": None, "height": None}
    assert told["made_for"] == {**made_for, "few_steps": True}
    assert told["hashes"] == {}
    hashes = server.get("/model_facts/loras?filename=a.safetensors&hash=true").json["hashes"]
    assert hashes["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert server.get("/model_facts/loras?filename=a.safetensors").json["hashes"] == hashes, "remembered"
    path.write_bytes(path.read_bytes() + b"\0")
    assert server.get("/model_facts/loras?filename=a.safetensors").json["hashes"] == {}, "another file now"
    path.write_bytes(b"no model")
    assert server.get("/model_facts/loras?filename=a.safetensors").status == 422
    assert server.get("/model_facts/loras?filename=../a.safetensors").status == 404


def test_models(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "checkpoints"
    (folder / "sub").mkdir()
    header = json.dumps({"__metadata__": {"title": "A model"}}).encode()
    (folder / "sub" / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (folder / "a.ckpt").write_bytes(b"x")
    Image.new("RGB", (4, 4)).save(folder / "sub" / "b.png")
    (tmp_path / "models" / "embeddings").mkdir()
    (tmp_path / "models" / "embeddings" / "style.pt").write_bytes(b"x")
    assert server.get("/models/checkpoints").json == ["a.ckpt", "sub/b.safetensors"]
    assert server.get("/models/nothing").status == 404
    assert "loras" in server.get("/models").json
    assert server.get("/embeddings").json == ["style"]
    assert server.get("/view_metadata/checkpoints?filename=sub/b.safetensors").json == {"title": "A model"}
    assert server.get("/view_metadata/checkpoints?filename=a.ckpt").status == 404
    assert server.get("/view_metadata/checkpoints?filename=../../x.safetensors").status == 404
    files = server.get("/experiment/models/checkpoints").json
    assert files[1].keys() == {"name", "pathIndex", "modified", "created", "size"}
    assert {"name": "checkpoints", "folders": [str(folder)]} in server.get("/experiment/models").json
    assert server.get("/experiment/models/preview/checkpoints/0/sub%2Fb.safetensors").body[8:12] == b"WEBP"
    assert server.get("/experiment/models/preview/checkpoints/0/a.ckpt").status == 404
    assert server.get("/model_pictures/checkpoints").json == ["sub/b.safetensors"]
    assert server.get("/experiment/models/preview/checkpoints/9/a.ckpt").status == 404
    choices = server.get("/object_info/Choice").json["Choice"]["input"]["required"]["name"][0]
    assert choices == ["a.ckpt", "sub/b.safetensors"]
    for name in ("a.ckpt", "sub\\b.safetensors"):
        server.wait(server.queue({"1": {"class_type": "Choice", "inputs": {"name": name}}}))
    reply = server.post("/prompt", json={"prompt": {"1": {"class_type": "Choice", "inputs": {"name": "b.safetensor"}}}})
    assert reply.status == 400
    assert "sub/b.safetensors" in reply.text


def test_assets(server: Server) -> None:
    form = aiohttp.FormData()
    form.add_field("file", png(), filename="one.png")
    form.add_field("tags", "input,portrait")
    one = server.post("/api/assets", data=form).json
    assert one["tags"] == ["input", "portrait"]
    assert server.request("HEAD", f"/api/assets/hash/{one['asset_hash']}").status == 200
    assert server.request("HEAD", f"/api/assets/hash/blake3:{'0' * 64}").status == 404
    two = server.post("/api/assets/from-hash", json={"hash": one["asset_hash"], "name": "two.png", "tags": ["input"]}).json
    assert server.get(f"/api/assets/{two['id']}/content").body == png()
    assert server.post(f"/api/assets/{two['id']}/tags", json={"tags": ["best", "input"]}).json["added"] == ["best"]
    assert server.request("DELETE", f"/api/assets/{two['id']}/tags", json={"tags": ["input"]}).json["total_tags"] == ["best"]
    assert [a["id"] for a in server.get("/api/assets?tags_all=input").json["assets"]] == [one["id"]]
    assert [a["id"] for a in server.get("/api/assets?tags_none=input").json["assets"]] == [two["id"]]
    assert server.get("/api/assets?tags_any=best,portrait").json["total"] == 2
    assert [a["id"] for a in server.get("/api/assets?name_contains=TWO").json["assets"]] == [two["id"]]
    page = server.get("/api/assets?limit=1&sort=name&order=asc").json
    assert page["has_more"] is True
    rest = server.get(f"/api/assets?limit=1&sort=name&order=asc&after={page['next_cursor']}").json
    assert [page["assets"][0]["name"], rest["assets"][0]["name"], rest["has_more"]] == ["one.png", "two.png", False]
    assert {tag["name"] for tag in server.get("/api/tags").json["tags"]} == {"input", "portrait", "best"}
    changed = server.request("PUT", f"/api/assets/{one['id']}", json={"name": "uno", "user_metadata": {"a": 1}}).json
    assert (changed["name"], changed["user_metadata"]) == ("uno", {"a": 1})
    assert server.request("DELETE", f"/api/assets/{one['id']}").status == 204
    for path, code in (
        (f"/api/assets/{one['id']}", "ASSET_NOT_FOUND"), ("/api/assets?after=x", "INVALID_CURSOR"),
        ("/api/assets?sort=x", "INVALID_QUERY"),
        ("/api/assets?limit=x", "INVALID_QUERY"),
    ):  # fmt: skip
        assert server.get(path).json["error"]["code"] == code
    wrong = aiohttp.FormData()
    wrong.add_field("file", png(), filename="x.png")
    wrong.add_field("hash", "blake3:" + "0" * 64)
    assert server.post("/api/assets", data=wrong).json["error"]["code"] == "HASH_MISMATCH"


def test_what_packs_bring(server: Server, tmp_path: Path) -> None:
    pack = tmp_path / "custom_nodes" / "my_pack"
    for name, text in {
        "example_workflows/first.json": "{}", "locales/de/main.json": '{"a": {"b": 1}}', "locales/de/nodeDefs.json": '{"N": {}}',
        "subgraphs/blue.json": '{"nodes": []}',
    }.items():  # fmt: skip
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        (pack / name).write_text(text)
    assert server.get("/workflow_templates").json == {"my_pack": ["first"]}
    assert server.get("/api/workflow_templates/my_pack/first.json").json == {}
    assert server.get("/api/workflow_templates/my_pack/..%2F..%2Fsecret").status == 404
    assert server.get("/i18n").json == {"de": {"a": {"b": 1}, "nodeDefs": {"N": {}}}}
    (key, entry), *_ = server.get("/global_subgraphs").json.items()
    assert entry == {"source": "custom_node", "name": "blue", "info": {"node_pack": "custom_nodes.my_pack"}}
    assert json.loads(server.get(f"/global_subgraphs/{key}").json["data"]) == {"nodes": []}
    assert server.get("/node_replacements").json == {}
    assert server.get("/extensions").json == []


def test_outputs_newest_first(server: Server) -> None:
    for n in range(3):
        server.wait(server.queue({"1": {"class_type": "Picture", "inputs": {"filename_prefix": f"p{n}"}}}))
    assert set(server.get("/internal/files/output").json) == {f"p{n}_00001_.png" for n in range(3)}
    assert server.get("/internal/files/models").status == 400
    assert "checkpoints" in server.get("/internal/folder_paths").json


def test_the_editors_files(make_server: Any, tmp_path: Path) -> None:
    front = tmp_path / "front"
    (front / "sub").mkdir(parents=True)
    (front / "index.html").write_text("<p>editor</p>")
    (front / "sub" / "a.js").write_text("1")
    (front / ".secret").write_text("x")
    server: Server = make_server(front_end=front)
    page = server.get("/")
    assert page.text == "<p>editor</p>"
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    script = server.get("/sub/a.js")
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.headers["Cache-Control"] == "no-cache"
    for path in ("/.secret", "/..%2Fsecret.txt", "/sub", "/gone.js", "/%00", "/sub/../.secret"):
        assert server.get(path).status in (403, 404)
    assert server.queue(chain())
