"""``/prompt``, ``/queue``, ``/history``, ``/interrupt`` as a client of ComfyUI's API meets them."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.conftest import Server, chain, waiting


def test_every_route_answers_with_and_without_api(server: Server) -> None:
    for path in (
        "/prompt",
        "/queue",
        "/history",
        "/object_info/Add",
        "/system_stats",
        "/features",
        "/models",
        "/settings",
        "/users",
    ):
        plain, under = server.get(path), server.get(f"/api{path}")
        assert plain.status == under.status == 200
        assert plain.json.keys() == under.json.keys() if isinstance(plain.json, dict) else plain.json == under.json


def test_a_prompt_runs_and_is_history(server: Server) -> None:
    reply = server.post(
        "/prompt", json={"prompt": chain(4), "client_id": "me", "extra_data": {"extra_pnginfo": {"workflow": {"id": "w"}}}}
    )
    assert reply.status == 200
    assert reply.json.keys() == {"prompt_id", "number", "node_errors"}
    assert reply.json["number"] == 1
    assert reply.json["node_errors"] == {}
    prompt_id = reply.json["prompt_id"]
    entry = server.wait(prompt_id)
    assert entry["outputs"] == {"4": {"text": ["5"]}}
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    assert [name for name, _ in entry["status"]["messages"]] == ["execution_start", "execution_cached", "execution_success"]
    assert entry["meta"]["4"] == {"node_id": "4", "display_node": "4", "parent_node": None, "real_node_id": "4"}
    number, same_id, prompt, extra, targets = entry["prompt"]
    assert (number, same_id, prompt, targets) == (1, prompt_id, chain(4), ["4"])
    assert extra["client_id"] == "me"
    assert extra["extra_pnginfo"] == {"workflow": {"id": "w"}}
    assert server.get("/history").json.keys() == {prompt_id}
    assert server.get("/prompt").json == {"exec_info": {"queue_remaining": 0}}


def test_no_content_type_is_needed(server: Server) -> None:
    reply = server.post("/prompt", data=json.dumps({"prompt": chain()}).encode(), headers={"Content-Type": "text/plain"})
    assert reply.status == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ([], "no_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": {"1": {"class_type": "Number", "inputs": {}}}}, "prompt_no_outputs"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "Unheard of", "inputs": {}}}}, "missing_node_type"),
        ({"prompt": 5}, "invalid_prompt"),
        ({"prompt": chain(), "prompt_id": "not a uuid"}, "invalid_prompt_id"),
        ({"prompt": chain(), "prompt_id": str(uuid.uuid4()).upper()}, "invalid_prompt_id"),
        ({"prompt": chain(), "partial_execution_targets": []}, "prompt_no_outputs"),
        ({"prompt": chain(), "number": "soon"}, "invalid_prompt"),
    ],
)
def test_what_cannot_run_is_a_400_in_the_envelope(server: Server, body: Any, kind: str) -> None:
    reply = server.post("/prompt", json=body)
    assert reply.status == 400
    assert reply.json.keys() == {"error", "node_errors"}
    assert reply.json["error"].keys() == {"type", "message", "details", "extra_info"}
    assert reply.json["error"]["type"] == kind


def test_faults_are_told_by_node(server: Server) -> None:
    prompt = chain()
    prompt["1"]["inputs"]["value"] = "many"
    reply = server.post("/prompt", json={"prompt": prompt})
    assert reply.status == 400
    assert reply.json["error"]["type"] == "prompt_outputs_failed_validation"
    fault = reply.json["node_errors"]["1"]
    assert fault["class_type"] == "Number"
    assert fault["dependent_outputs"] == ["3"]
    assert fault["errors"][0]["type"] == "invalid_input_type"
    assert fault["errors"][0]["extra_info"]["input_name"] == "value"


def test_sound_outputs_run_although_others_cannot(server: Server) -> None:
    prompt = chain() | {"bad": {"class_type": "Show", "inputs": {}}}
    reply = server.post("/prompt", json={"prompt": prompt})
    assert reply.status == 200
    assert set(reply.json["node_errors"]) == {"bad"}
    assert server.wait(reply.json["prompt_id"])["outputs"].keys() == {"3"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b'{"prompt": NaN}', b"[" * 5000, b'{"a": 1e999}', b"\xff\xfe{\x00", b"9" * 9999]
)
def test_bad_json_is_a_400(server: Server, body: bytes) -> None:
    reply = server.post("/prompt", data=body)
    assert reply.status == 400
    assert reply.json.keys() == {"error", "node_errors"}
    assert reply.json["error"].keys() == {"type", "message", "details", "extra_info"}


def test_utf_16_and_odd_characters_pass(server: Server) -> None:
    prompt = chain() | {"x": {"class_type": "Number", "inputs": {}, "_meta": {"title": "\ud800 \0 é 🐈"}}}
    body = json.dumps({"prompt": prompt}).encode("utf-16")
    reply = server.post("/prompt", data=body)
    assert reply.status == 200
    assert server.wait(reply.json["prompt_id"])["prompt"][2] == prompt


def test_a_workflow_of_the_editor_runs(server: Server) -> None:
    """number -> show, and a note"""
    flow = {
        "id": "11111111-2222-3333-4444-555555555555",
        "nodes": [
            {"id": 1, "type": "Number", "widgets_values": [5], "outputs": [{"name": "INT", "type": "INT", "links": [9]}]},
            {"id": 2, "type": "Show", "inputs": [{"name": "value", "type": "*", "link": 9}]},
            {"id": 3, "type": "Note", "widgets_values": ["hello"]},
        ],
        "links": [[9, 1, 0, 2, 0, "INT"]],
        "version": 0.4,
    }
    for body in ({"workflow": flow}, {"prompt": flow}):
        entry = server.wait(server.post("/prompt", json=body).json["prompt_id"])
        assert entry["outputs"] == {"2": {"text": ["5"]}}
        assert entry["prompt"][3]["extra_pnginfo"]["workflow"] == flow
    jobs = server.get("/api/jobs", params={"workflow_id": flow["id"]}).json["jobs"]
    assert len(jobs) == 2
    assert server.post("/prompt", json={"workflow": {"nodes": [5]}}).json["error"]["type"] == "invalid_workflow"


def test_the_queue_shows_what_waits_in_order(server: Server) -> None:
    running = server.queue(waiting())
    second = server.queue(chain())
    front = server.queue(chain(), front=True)
    numbered = server.queue(chain(), number=0.5)
    until(lambda: server.get("/queue").json["queue_running"] != [])
    queue = server.get("/queue").json
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == [front, numbered, second]
    number, prompt_id, prompt, extra, targets = queue["queue_pending"][1]
    assert (number, prompt_id, prompt, targets) == (0.5, numbered, chain(), ["3"])
    assert "create_time" in extra
    assert server.get("/prompt").json["exec_info"]["queue_remaining"] == 4
    assert server.post("/queue", json={"delete": [second, running]}).status == 200
    queue = server.get("/queue").json
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == [front, numbered]
    assert server.post("/queue", json={"clear": True}).body == b""
    assert server.get("/queue").json["queue_pending"] == []
    assert server.post("/interrupt").status == 200
    entry = server.wait(running)
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"
    assert second not in server.get("/history").json


def test_interrupt_by_id_in_any_state(server: Server) -> None:
    running, queued = server.queue(waiting(seed=1)), server.queue(waiting(seed=2))
    until(lambda: server.get("/queue").json["queue_running"] != [])
    assert server.post("/interrupt", json={"prompt_id": queued}).status == 200
    assert server.get("/queue").json["queue_pending"] == []
    assert server.get("/queue").json["queue_running"][0][1] == running
    assert server.post("/interrupt", json={"prompt_id": "unknown"}).status == 200
    assert server.get("/queue").json["queue_running"][0][1] == running
    server.post("/interrupt", json={"prompt_id": running})
    assert server.wait(running)["status"]["status_str"] == "error"


def test_history_pages_and_forgets(server: Server) -> None:
    ids = [server.queue(chain(start=n)) for n in range(5)]
    for prompt_id in ids:
        server.wait(prompt_id)
    assert list(server.get("/history").json) == ids
    assert list(server.get("/history?max_items=2").json) == ids[3:]
    assert list(server.get("/history?max_items=2&offset=1").json) == ids[1:3]
    assert list(server.get("/history?max_items=2&offset=-1").json) == ids[3:]
    assert server.get("/history/unknown").json == {}
    assert server.get("/history?max_items=x").status == 400
    assert server.post("/history", json={"delete": [ids[0]]}).status == 200
    assert list(server.get("/history").json) == ids[1:]
    server.post("/history", json={"clear": True})
    assert server.get("/history").json == {}


def test_the_same_key_gives_the_same_job(server: Server) -> None:
    replies = [server.post("/prompt", json={"prompt": chain()}, headers={"Idempotency-Key": "once"}) for _ in range(3)]
    assert len({reply.json["prompt_id"] for reply in replies}) == 1
    chosen = str(uuid.uuid4())
    assert {server.queue(chain(), prompt_id=chosen) for _ in range(2)} == {chosen}
    taken = server.post("/prompt", json={"prompt": chain(5), "prompt_id": chosen})
    assert taken.status == 400
    assert taken.json["error"]["type"] == "invalid_prompt_id"
    assert server.post("/prompt", json={"prompt": chain()}, headers={"Idempotency-Key": "x" * 300}).status == 400


def test_secrets_are_not_kept(server: Server) -> None:
    prompt_id = server.queue(chain(), extra_data={"auth_token_comfy_org": "secret", "api_key_comfy_org": "secret"})
    assert "secret" not in json.dumps(server.wait(prompt_id))


def test_a_failing_node_is_told_and_not_tried_again(server: Server) -> None:
    prompt = {
        "1": {"class_type": "Fail", "inputs": {"message": "no luck"}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }
    entry = server.wait(server.queue(prompt))
    assert entry["status"]["status_str"] == "error"
    name, data = entry["status"]["messages"][-1]
    assert name == "execution_error"
    assert (data["node_id"], data["node_type"], data["exception_type"]) == ("1", "Fail", "ValueError")
    assert "no luck" in data["exception_message"]
    assert data["current_inputs"]["message"] == ["no luck"] or data["current_inputs"]["message"] == ["'no luck'"]
    assert any("no luck" in line for line in data["traceback"])
    assert server.get("/queue").json == {"queue_running": [], "queue_pending": []}


def test_free_is_done_between_prompts(server: Server) -> None:
    first = server.queue(chain())
    server.wait(first)
    assert server.post("/free", json={"unload_models": True, "free_memory": True}).status == 200
    entry = server.wait(server.queue(chain(8)))
    assert entry["status"]["messages"][1][1]["nodes"] == []


def test_a_full_queue_says_so(make_server: Callable[..., Server]) -> None:
    server = make_server(max_queue=1)
    server.queue(waiting())
    reply = server.post("/prompt", json={"prompt": chain()})
    assert reply.status == 429
    assert reply.json["error"]["type"] == "queue_full"


def until(wanted: Callable[[], bool]) -> None:
    import time

    for _ in range(6000):
        if wanted():
            return
        time.sleep(0.01)
    raise TimeoutError


def test_prompts_are_counted_as_clip_reads_them(server: Server) -> None:
    """The reference: the ids of the tokenizer itself, weights and brackets taken away by hand."""
    from engine.diffusion.text.bpe import ClipBpe

    def told(text: str) -> tuple[int, int]:
        answer = server.post("/api/tokens", json={"text": text}).json
        return answer["tokens"], answer["rows"]

    bpe = ClipBpe()
    assert told("") == (0, 1)
    assert told("a (photo:1.3) of ((cats))") == (len(bpe.ids("a photo of cats")), 1)
    assert told("embedding:soft, embedding:hard") == (2 + len(bpe.ids(",")), 1)
    assert told("cat " * 76) == (76, 2)
    assert server.post("/api/tokens", json={"text": ["a"]}).status == 400
