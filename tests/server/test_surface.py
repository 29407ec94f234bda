"""ComfyUI's HTTP surface as a table: every route, with and without ``/api``, its status, its keys, its kind of body.

The shapes are what a 0.3.64 server answers, and for the routes that came later what its sources say.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.conftest import Reply, Server, chain, waiting
from tests.server.test_files import png, upload
from tests.server.test_prompt import until

NO_BODY = object()


class Row(tuple[Any, ...]):
    """The shape of a list with a fixed number of items."""


NUMBER = (int, float)
INFO = {
    "input": {"required": dict, "optional": dict, "hidden": dict},
    "input_order": {"required": list, "optional": list, "hidden": list},
    "output": [str], "output_is_list": [bool], "output_name": [str], "name": str, "display_name": str, "description": str,
    "python_module": str, "category": str, "output_node": bool,
}  # fmt: skip
OPTIONAL_INFO = {
    "output_tooltips", "deprecated", "experimental", "api_node", "is_input_list", "has_intermediate_output", "dev_only",
    "search_aliases", "essentials_category", "output_matchtypes",
}  # fmt: skip
SYSTEM = {
    "os": str, "ram_total": int, "ram_free": int, "comfyui_version": str, "required_frontend_version": str,
    "installed_templates_version": str, "required_templates_version": str, "python_version": str, "pytorch_version": str,
    "embedded_python": bool, "argv": [str], "comfy_package_versions": list, "deploy_environment": str,
}  # fmt: skip
DEVICE = {
    "name": str, "type": str, "index": (int, type(None)), "vram_total": int, "vram_free": int, "torch_vram_total": int,
    "torch_vram_free": int,
}  # fmt: skip
ITEM = Row((NUMBER, str, dict, dict, [str]))
ENTRY = {
    "prompt": ITEM, "outputs": {"1": {"images": [{"filename": str, "subfolder": str, "type": str}]}},
    "status": {"status_str": str, "completed": bool, "messages": [Row((str, dict))]},
    "meta": {"1": {"node_id": str, "display_node": str, "parent_node": type(None), "real_node_id": str}},
}  # fmt: skip
JOB = {
    "id": str, "status": str, "priority": NUMBER, "create_time": int, "execution_start_time": int, "execution_end_time": int,
    "outputs_count": int, "previewable_outputs_count": int, "workflow_id": str,
    "preview_output": {"filename": str, "subfolder": str, "type": str, "nodeId": str, "mediaType": str},
}  # fmt: skip
ASSET = {"id": str, "name": str, "asset_hash": str, "size": int, "mime_type": str, "tags": [str]}
FEATURES = {
    "supports_preview_metadata": bool, "supports_model_type_tags": bool, "max_upload_size": int,
    "extension": {"manager": {"supports_v4": bool}}, "node_replacements": bool, "assets": bool,
}  # fmt: skip
FILE = {"path": str, "size": int, "modified": float, "created": float}
FAULT = {"type": str, "message": str, "details": str, "extra_info": dict}
REFUSED = {"error": FAULT, "node_errors": dict}
ASSET_REFUSED = {"error": {"code": str, "message": str, "details": dict}}
# (method, path, JSON or bytes to send, status, shape of the answer); {job} is a job that is done, {gone} none.
# A shape: a type, a tuple of types to choose from, {key: shape} for exactly these keys, [shape] for a list of such, a Row,
# bytes for any body, or NO_BODY.
TABLE: list[tuple[str, str, Any, int, Any]] = [
    ("GET", "/prompt", None, 200, {"exec_info": {"queue_remaining": int}}),
    ("POST", "/prompt", {"prompt": chain()}, 200, {"prompt_id": str, "number": NUMBER, "node_errors": {}}),
    ("POST", "/prompt", {}, 400, REFUSED),
    ("POST", "/prompt", b"not JSON", 400, REFUSED),
    ("POST", "/prompt", {"prompt": {"1": {"class_type": "Nothing", "inputs": {}}}}, 400, REFUSED),
    ("GET", "/queue", None, 200, {"queue_running": [ITEM], "queue_pending": [ITEM]}),
    ("POST", "/queue", {"delete": ["{gone}"]}, 200, NO_BODY),
    ("POST", "/queue", {"clear": False}, 200, NO_BODY),
    ("GET", "/history?max_items=1&offset=0", None, 200, {"{job}": ENTRY}),
    ("GET", "/history/{job}", None, 200, {"{job}": ENTRY}),
    ("GET", "/history/{gone}", None, 200, {}),
    ("POST", "/history", {"delete": ["{gone}"]}, 200, NO_BODY),
    ("POST", "/interrupt", {"prompt_id": "{gone}"}, 200, NO_BODY),
    ("POST", "/free", {"unload_models": True, "free_memory": True}, 200, NO_BODY),
    ("POST", "/free", None, 200, NO_BODY),
    ("GET", "/object_info/Nothing", None, 200, {}),
    ("GET", "/system_stats", None, 200, {"system": SYSTEM, "devices": [DEVICE]}),
    ("GET", "/view?filename=a.png&type=input", None, 200, bytes),
    ("GET", "/view?filename=a.png [input]", None, 200, bytes),
    ("GET", "/view?filename=a.png&type=input&preview=webp;80", None, 200, bytes),
    ("GET", "/view?filename=a.png&type=input&channel=a", None, 200, bytes),
    ("GET", "/view?filename=/a.png&type=input", None, 400, NO_BODY),
    ("GET", "/view?filename=..%2Fa.png&type=input", None, 400, NO_BODY),
    ("GET", "/view?filename=a.png&type=input&subfolder=..%2F..", None, 403, str),
    ("GET", "/view?filename=none.png", None, 404, NO_BODY),
    ("GET", "/view_metadata/checkpoints?filename=none.safetensors", None, 404, NO_BODY),
    ("GET", "/embeddings", None, 200, [str]),
    ("GET", "/models", None, 200, [str]),
    ("GET", "/models/checkpoints", None, 200, [str]),
    ("GET", "/models/nothing", None, 404, NO_BODY),
    ("GET", "/experiment/models", None, 200, [{"name": str, "folders": [str]}]),
    ("GET", "/experiment/models/checkpoints", None, 200,
     [{"name": str, "pathIndex": int, "modified": NUMBER, "created": NUMBER, "size": int}]),
    ("GET", "/experiment/models/preview/checkpoints/0/m.safetensors", None, 404, NO_BODY),
    ("GET", "/extensions", None, 200, [str]),
    ("GET", "/settings", None, 200, dict),
    ("POST", "/settings", {"a": 1}, 200, NO_BODY),
    ("GET", "/settings/a", None, 200, int),
    ("GET", "/settings/none", None, 200, type(None)),
    ("POST", "/settings/b", [1, "x"], 200, NO_BODY),
    ("GET", "/users", None, 200, {"storage": str, "migrated": bool}),
    ("GET", "/userdata", None, 400, str),
    ("GET", "/userdata?dir=..%2F..", None, 403, str),
    ("GET", "/userdata?dir=none", None, 404, str),
    ("GET", "/userdata?dir=d&recurse=true", None, 200, [str]),
    ("GET", "/userdata?dir=d&recurse=true&split=true", None, 200, [Row((str, str))]),
    ("GET", "/userdata?dir=d&full_info=true", None, 200, [FILE]),
    ("GET", "/v2/userdata?path=d", None, 200, [{"name": str, "path": str, "type": str, "size": int, "modified": float}]),
    ("GET", "/v2/userdata?path=none", None, 404, str),
    ("GET", "/userdata/d%2Fa.txt", None, 200, bytes),
    ("GET", "/userdata/none.txt", None, 404, NO_BODY),
    ("POST", "/userdata/d%2Fa.txt", b"text", 200, str),
    ("POST", "/userdata/d%2Fa.txt?full_info=true", b"text", 200, FILE),
    ("POST", "/userdata/d%2Fa.txt?overwrite=false", b"text", 409, str),
    ("POST", "/userdata/none.txt/move/b.txt", None, 404, NO_BODY),
    ("DELETE", "/userdata/none.txt", None, 404, NO_BODY),
    ("GET", "/workflow_templates", None, 200, dict),
    ("GET", "/i18n", None, 200, dict),
    ("GET", "/node_replacements", None, 200, dict),
    ("GET", "/global_subgraphs", None, 200, dict),
    ("GET", "/global_subgraphs/none", None, 404, type(None)),
    ("GET", "/jobs?limit=1", None, 200,
     {"jobs": list, "pagination": {"offset": int, "limit": int, "total": int, "has_more": bool}}),
    ("GET", "/jobs?status=unheard", None, 400, {"error": str}),
    ("GET", "/jobs?sort_by=unheard", None, 400, {"error": str}),
    ("GET", "/jobs/{gone}", None, 404, {"error": str}),
    ("POST", "/jobs/{job}/cancel", None, 200, {"cancelled": bool}),
    ("POST", "/jobs/{gone}/cancel", None, 200, {"cancelled": bool}),
    ("POST", "/jobs/no-uuid/cancel", None, 400, {"error": str, "invalid_ids": [str]}),
    ("POST", "/jobs/cancel", {"job_ids": ["{gone}"]}, 200, {"cancelled": bool}),
    ("POST", "/jobs/cancel", {"job_ids": ["no-uuid"]}, 400, {"error": str, "invalid_ids": [str]}),
    ("GET", "/tags", None, 200, {"tags": list, "total": int, "has_more": bool}),
    ("PUT", "/prompt", None, 405, str),
    ("GET", "/unheard/of", None, 404, str),
]  # fmt: skip
BARE: list[tuple[str, str, Any, int, Any]] = [
    ("GET", "/api/assets?limit=1", None, 200, {"assets": list, "total": int, "has_more": bool, "next_cursor": (str, type(None))}),
    ("GET", "/api/assets?after=none", None, 400, ASSET_REFUSED),
    ("GET", "/api/assets/{gone}", None, 404, ASSET_REFUSED),
    ("PUT", "/api/assets/{gone}", {"name": "x"}, 404, ASSET_REFUSED),
    ("DELETE", "/api/assets/{gone}", None, 404, ASSET_REFUSED),
    ("POST", "/api/assets/from-hash", {"hash": "blake3:" + "0" * 64, "name": "x", "tags": ["input"]}, 404, ASSET_REFUSED),
    ("GET", "/internal/logs", None, 200, str),
    ("GET", "/internal/logs/raw", None, 200, {"entries": [{"t": str, "m": str}], "size": {"cols": int, "rows": int}}),
    ("PATCH", "/internal/logs/subscribe", {"clientId": "x", "enabled": True}, 200, NO_BODY),
    ("GET", "/internal/folder_paths", None, 200, dict),
    ("GET", "/internal/files/output", None, 200, [str]),
    ("GET", "/internal/files/elsewhere", None, 400, str),
]


@pytest.fixture
def used(server: Server, tmp_path: Path) -> tuple[Server, str]:
    """A server on which things have happened, and the id of a job that saved a picture."""
    (tmp_path / "models" / "checkpoints" / "m.safetensors").write_bytes(b"")
    job = server.queue({"1": {"class_type": "Picture", "inputs": {}}}, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})
    server.wait(job)
    upload(server, png())
    server.post("/userdata/d%2Fa.txt", data=b"text")
    return server, job


def misfit(shape: Any, value: Any, at: str = "") -> str | None:
    """Where ``value`` does not have ``shape``; None if it has."""
    if isinstance(shape, dict):
        if not isinstance(value, dict) or set(value) != set(shape):
            return (
                f"{at or 'the answer'} has the keys {sorted(value) if isinstance(value, dict) else value!r}, not {sorted(shape)}"
            )
        return next((no for key in shape if (no := misfit(shape[key], value[key], f"{at}.{key}"))), None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{at or 'the answer'} is {value!r}, not a list"
        return next((no for i, item in enumerate(value) if (no := misfit(shape[0], item, f"{at}[{i}]"))), None)
    if isinstance(shape, Row):
        if not isinstance(value, list) or len(value) != len(shape):
            return f"{at} is {value!r}, not a list of {len(shape)}"
        return next((no for i, part in enumerate(shape) if (no := misfit(part, value[i], f"{at}[{i}]"))), None)
    exact = bool in (shape if isinstance(shape, tuple) else (shape,)) or not isinstance(value, bool)
    return None if isinstance(value, shape) and exact else f"{at or 'the answer'} is {value!r}, not of {shape}"


def check(reply: Reply, status: int, shape: Any) -> str | None:
    if reply.status != status:
        return f"status {reply.status}, not {status}: {reply.text[:200]}"
    if shape is NO_BODY:
        return None if reply.body == b"" else f"a body: {reply.body[:100]!r}"
    if shape is bytes:
        return None if reply.body else "no body"
    if "json" not in reply.headers["Content-Type"]:
        return None if shape is str and reply.body else f"{reply.headers['Content-Type']}: {reply.body[:100]!r}"
    return misfit(shape, reply.json)


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {filled(key, names): filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    return value


def test_every_route_has_its_status_and_its_keys(used: tuple[Server, str]) -> None:
    server, job = used
    names = {"job": job, "gone": str(uuid.uuid4())}
    faults = []
    for table, prefixes in ((TABLE, ("", "/api")), (BARE, ("",))):
        for method, path, body, status, shape in table:
            kind = "data" if isinstance(body, bytes) else "json"
            sent = {} if body is None else {kind: filled(body, names)}
            for prefix in prefixes:
                reply = server.request(method, prefix + filled(path, names), **sent)
                if no := check(reply, status, filled(shape, names)):
                    faults.append(f"{method} {prefix}{path}: {no}")
    assert faults == []


def test_what_is_told_of_a_node(server: Server) -> None:
    everything = server.get("/object_info").json
    assert {"Add", "Show", "Picture"} <= set(everything)
    for name, told in everything.items():
        assert server.get(f"/api/object_info/{name}").json == {name: told}
        assert set(told) - set(INFO) <= OPTIONAL_INFO, name
        for key, shape in INFO.items():
            if isinstance(shape, dict):
                assert set(told[key]) <= set(shape), (name, key)
                assert all(isinstance(told[key][kind], shape[kind]) for kind in told[key]), (name, key)
            else:
                assert misfit(shape, told[key]) is None, (name, key)
        assert {kind: list(inputs) for kind, inputs in told["input"].items()} == told["input_order"], name
        assert len(told["output"]) == len(told["output_name"]) == len(told["output_is_list"])
    assert everything["Add"]["input"]["required"]["a"] == ["INT", {"default": 0}]
    assert everything["Show"]["output_node"] is True


def test_newer_shapes(used: tuple[Server, str]) -> None:
    """What came after 0.3.64: more keys than these are ours, and old clients pass them over."""
    server, job = used
    features = server.get("/features").json
    assert misfit(FEATURES, {name: features[name] for name in FEATURES}) is None
    (listed,) = server.get("/api/jobs").json["jobs"]
    one = server.get(f"/api/jobs/{job}").json
    for found in (listed, one):
        assert misfit(JOB, {name: found[name] for name in JOB}) is None
    assert misfit({"outputs": dict, "execution_status": dict, "workflow": {"prompt": dict, "extra_data": dict}},
                  {name: one[name] for name in ("outputs", "execution_status", "workflow")}) is None  # fmt: skip
    assert isinstance(one["workflow"]["extra_data"]["create_time"], int)
    told = upload(server, png(), "b.png").json
    assert misfit({"name": str, "subfolder": str, "type": str, "asset": ASSET}, told) is None
    form = aiohttp.FormData()
    form.add_field("file", png(colour="blue"), filename="c.png")
    made = server.post("/api/assets", data=form)
    assert made.status == 201
    assert misfit(ASSET, {name: made.json[name] for name in ASSET}) is None


def test_the_faults_of_nodes(used: tuple[Server, str]) -> None:
    """Each kind of fault with the keys that its ``extra_info`` has."""
    server, _ = used
    show = {"class_type": "Show", "inputs": {"value": ["1", 0]}}
    wait = {"seconds": 1.0, "seed": 0}
    cases: list[tuple[dict[str, Any], str, str, set[str]]] = [
        ({"1": {"class_type": "Show", "inputs": {}}}, "1", "required_input_missing", {"input_name"}),
        ({"1": {"class_type": "Number", "inputs": {"value": "x"}}, "2": show}, "1", "invalid_input_type",
         {"input_name", "input_config", "received_value", "exception_message"}),
        ({"1": {"class_type": "Wait", "inputs": wait | {"seconds": -1}}, "2": show}, "1", "value_smaller_than_min",
         {"input_name", "input_config", "received_value"}),
        ({"1": {"class_type": "Wait", "inputs": wait | {"seconds": 61}}, "2": show}, "1", "value_bigger_than_max",
         {"input_name", "input_config", "received_value"}),
        ({"1": {"class_type": "Choice", "inputs": {"name": "none.safetensors"}}}, "1", "value_not_in_list",
         {"input_name", "input_config", "received_value"}),
        ({"1": {"class_type": "Number", "inputs": {}}, "2": {"class_type": "Choice", "inputs": {"name": ["1", 0]}}}, "2",
         "return_type_mismatch", {"input_name", "input_config", "received_type", "linked_node"}),
    ]  # fmt: skip
    for prompt, node, kind, keys in cases:
        reply = server.post("/prompt", json={"prompt": prompt})
        assert reply.status == 400, prompt
        assert misfit(REFUSED, reply.json) is None
        fault = reply.json["node_errors"][node]
        assert set(fault) == {"errors", "dependent_outputs", "class_type"}
        told = fault["errors"][0]
        assert told["type"] == kind, told
        assert keys <= set(told["extra_info"]), (kind, told["extra_info"])
        assert json.dumps(told)


def test_how_long_a_browser_keeps_what(used: tuple[Server, str]) -> None:
    server, _ = used
    assert server.get("/main.js").headers["Cache-Control"] == "no-cache"
    assert server.get("/icon.svg").headers["Cache-Control"] == "public, max-age=86400"


def test_another_editor_is_served_with_the_scripts_its_page_has(make_server: Callable[..., Server], tmp_path: Path) -> None:
    """As ComfyUI's frontend is built: an inline import map, a folder called assets."""
    front = tmp_path / "front"
    (front / "assets").mkdir(parents=True)
    (front / "assets" / "main.js").write_text("1")
    script = '{"imports": {"vue": "./assets/main.js"}}'
    text = f'<script type="importmap">{script}</script><script type="module" src="/assets/main.js"></script>'
    (front / "index.html").write_text(text)
    server = make_server(front_end=front)
    page = server.get("/")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert page.text == text
    assert f"script-src 'self' 'sha256-{digest}'; " in page.headers["Content-Security-Policy"]
    assert server.get("/assets/main.js").body == b"1"
    assert server.get("/api/assets").json["assets"] == []
    assert "script-src 'self'; " in server.get("/docs").headers["Content-Security-Policy"]


def test_head_is_get_without_the_body(used: tuple[Server, str]) -> None:
    server, job = used
    for path in ("/", "/system_stats", "/api/queue", f"/history/{job}", "/view?filename=a.png&type=input", "/docs"):
        got, asked = server.get(path), server.request("HEAD", path)
        assert (asked.status, asked.body) == (got.status, b""), path
        assert asked.headers["Content-Type"] == got.headers["Content-Type"]
    assert server.request("HEAD", "/view?filename=none.png").status == 404
    refused = server.request("DELETE", "/prompt")
    assert refused.status == 405
    assert {"GET", "POST"} <= set(refused.headers["Allow"].split(", "))


def test_a_queue_under_way(server: Server) -> None:
    running = server.queue(waiting())
    queued = server.queue(chain(), client_id="me")
    until(lambda: server.get("/queue").json["queue_running"] != [])
    shown = server.get("/queue").json
    for item, wanted in ((shown["queue_running"][0], running), (shown["queue_pending"][0], queued)):
        assert misfit(ITEM, item) is None
        assert item[1] == wanted
    assert server.get(f"/api/jobs/{queued}").json.keys() >= {"id", "status", "priority", "create_time"}
    assert server.post(f"/api/jobs/{queued}/cancel").json == {"cancelled": True}
    assert server.post(f"/api/jobs/{queued}/cancel").json == {"cancelled": False}
