"""``/api/jobs``, saved workflows, server-sent events, metrics."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Server, chain, waiting
from tests.server.test_prompt import until

FAILING = {"1": {"class_type": "Fail", "inputs": {}}, "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}


def test_jobs_in_every_state_are_listed(server: Server) -> None:
    done, failed = server.queue(chain()), server.queue(FAILING)
    server.wait(done)
    server.wait(failed)
    picture = server.queue({"1": {"class_type": "Picture", "inputs": {}}}, title="a picture")
    server.wait(picture)
    running, queued, dropped = server.queue(waiting()), server.queue(chain(9)), server.queue(chain(9))
    server.post("/queue", json={"delete": [dropped]})
    until(lambda: server.get(f"/api/jobs/{running}").json["status"] == "in_progress")
    reply = server.get("/api/jobs").json
    assert reply["pagination"] == {"offset": 0, "limit": None, "total": 6, "has_more": False}
    found = {job["id"]: job for job in reply["jobs"]}
    states = {"completed": done, "failed": failed, "in_progress": running, "pending": queued, "cancelled": dropped}
    for state, job_id in states.items():
        assert found[job_id]["status"] == state
    assert found[done]["outputs_count"] == 1
    assert found[failed]["execution_error"]["exception_type"] == "ValueError"
    assert found[picture]["preview_output"] == {
        "filename": "loom_00001_.png", "subfolder": "", "type": "output", "nodeId": "1", "mediaType": "images",
    }  # fmt: skip
    assert [job["id"] for job in server.get("/api/jobs?status=pending,failed&sort_order=asc").json["jobs"]] == [failed, queued]
    page = server.get("/api/jobs?limit=2&offset=1&sort_by=execution_duration&sort_order=asc").json
    assert len(page["jobs"]) == 2
    assert page["pagination"]["has_more"] is True
    assert [job["id"] for job in server.get("/api/jobs?text=A%20pict").json["jobs"]] == [picture]


@pytest.mark.parametrize(
    "query", ["status=bad", "sort_by=x", "sort_order=x", "limit=-1", "offset=x", "limit=99999999999999999999999"]
)
def test_bad_queries_are_refused(server: Server, query: str) -> None:
    reply = server.get(f"/api/jobs?{query}")
    if "9999" not in query:
        assert reply.status == 400
        assert isinstance(reply.json["error"], str)


def test_one_job(server: Server) -> None:
    job_id = server.queue(chain())
    server.wait(job_id)
    job = server.get(f"/api/jobs/{job_id}").json
    assert job["outputs"] == {"3": {"text": ["2"]}}
    assert job["execution_status"]["status_str"] == "success"
    assert job["workflow"]["prompt"] == chain()
    missing = server.get(f"/api/jobs/{uuid.uuid4()}")
    assert missing.status == 404
    assert missing.json == {"error": "Job not found"}
    log = server.get(f"/api/jobs/{job_id}/log").json["lines"]
    assert [line["text"] for line in log] == ["started, attempt 1", "done"]


def test_cancel_is_idempotent(server: Server) -> None:
    running, queued = server.queue(waiting(seed=1)), server.queue(waiting(seed=2))
    assert server.post(f"/api/jobs/{queued}/cancel").json == {"cancelled": True}
    assert server.post(f"/api/jobs/{queued}/cancel").json == {"cancelled": False}
    assert server.post("/api/jobs/cancel", json={"job_ids": [running, queued]}).json == {"cancelled": True}
    server.wait(running)
    assert server.post(f"/api/jobs/{uuid.uuid4()}/cancel").json == {"cancelled": False}
    bad = server.post("/api/jobs/cancel", json={"job_ids": ["x", running]})
    assert bad.status == 400
    assert bad.json["invalid_ids"] == ["x"]
    assert server.request("DELETE", f"/api/jobs/{running}").status == 204
    assert server.get(f"/api/jobs/{running}").status == 404


def test_pause_move_edit_resume(server: Server) -> None:
    assert server.post("/api/queue/pause").json == {"paused": True}
    a, b, c = (server.queue(chain(start=n)) for n in range(3))
    assert server.get("/api/queue/state").json == {"paused": True}
    assert server.post(f"/api/jobs/{c}/move", json={"place": "front"}).status == 200
    assert server.post(f"/api/jobs/{a}/move", json={"place": "after", "other": b}).status == 200
    assert [item[1] for item in server.get("/queue").json["queue_pending"]] == [c, b, a]
    assert server.post(f"/api/jobs/{a}/move", json={"place": "sideways"}).status == 409
    edited = server.request("PATCH", f"/api/jobs/{a}", json={"title": "new", "priority": 3, "prompt": chain(4, 7)})
    assert edited.json["title"] == "new"
    assert server.get("/queue").json["queue_pending"][0][1] == a
    bad = server.request("PATCH", f"/api/jobs/{a}", json={"prompt": {"1": {"class_type": "Unheard of"}}})
    assert bad.status == 400
    assert server.get(f"/api/jobs/{b}").json["queue_position"] == 2
    assert server.post("/api/queue/resume").json == {"paused": False}
    assert server.wait(a)["outputs"] == {"4": {"text": ["12"]}}
    assert server.request("PATCH", f"/api/jobs/{a}", json={"title": "late"}).status == 409


def events_of(server: Server, job_id: str) -> list[tuple[str, Any]]:
    reply = server.get(f"/api/jobs/{job_id}/events")
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    found = []
    for block in reply.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_events_of_a_job_until_its_end(server: Server) -> None:
    job_id = server.queue(waiting(0.4))
    names = [name for name, _ in events_of(server, job_id)]
    assert names[0] == "job"
    assert names[-1] == "end"
    assert "progress" in names
    again = events_of(server, job_id)
    assert [name for name, _ in again] == ["job", "end"]
    assert again[-1][1]["outputs"] == {"2": {"text": ["0"]}}
    assert server.get(f"/api/jobs/{uuid.uuid4()}/events").status == 404


def test_following_a_job_that_is_cancelled_while_it_waits(server: Server) -> None:
    import threading

    server.queue(waiting())
    queued = server.queue(chain())
    threading.Timer(0.3, lambda: server.post(f"/api/jobs/{queued}/cancel")).start()
    assert events_of(server, queued)[-1][1]["status"] == "cancelled"


def test_a_saved_workflow_is_an_endpoint(server: Server) -> None:
    """number "How many" -> add -> show"""
    prompt = {
        "1": {"class_type": "Number", "inputs": {"value": 1}, "_meta": {"title": "How many"}},
        "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 5}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    assert server.post("/userdata/workflows%2Fmine%2Fsum.json", json=prompt).status == 200
    assert {"name": "mine/sum", "source": "user", "thumbnail": False} in server.get("/api/workflows").json["workflows"]
    assert server.get("/api/workflows/mine/sum/thumbnail").status == 404
    server.post("/userdata/workflows%2Fmine%2Fsum.webp", data=b"picture")
    assert server.get("/api/workflows/mine/sum/thumbnail").body == b"picture"
    told = server.get("/api/workflows/mine/sum").json
    assert told["inputs"]["properties"]["how_many"]["type"] == "integer"
    assert told["inputs"]["properties"]["how_many"]["default"] == 1
    for body in ({"inputs": {"how_many": 10}}, {"how_many": 10}, {"value": 10}, {"inputs": {"how_many": 10, "b": 5}}):
        reply = server.post("/api/workflows/mine/sum/run", json=body)
        assert reply.status == 200, reply.text
        assert server.wait(reply.json["prompt_id"])["outputs"] == {"3": {"text": ["15"]}}
    unknown = server.post("/api/workflows/mine/sum/run", json={"inputs": {"how_mny": 1}})
    assert unknown.status == 422
    assert "how_many" in unknown.json["error"]
    assert server.post("/api/workflows/mine/sum/run", json={"how_many": "x"}).status == 400
    assert server.post("/api/workflows/none/run", json={}).status == 404
    assert server.post("/api/workflows/..%2F..%2Floom/run", json={}).status == 404
    api = server.get("/openapi.json").json
    schema = api["paths"]["/api/workflows/mine/sum/run"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["inputs"]["properties"]["how_many"]["type"] == "integer"


def test_app_mode_says_which_inputs(server: Server) -> None:
    flow = {
        "nodes": [
            {"id": 1, "type": "Number", "widgets_values": [5], "outputs": [{"name": "INT", "type": "INT", "links": [9]}]},
            {"id": 2, "type": "Picture", "widgets_values": ["red", "x"], "inputs": [{"name": "value", "type": "*", "link": 9}]},
        ],
        "links": [[9, 1, 0, 2, 0, "INT"]],
        "extra": {"linearMode": True, "linearData": {"inputs": [[2, "colour"]], "outputs": [2]}},
        "version": 0.4,
    }
    server.post("/userdata/workflows%2Fapp.json", json=flow)
    assert list(server.get("/api/workflows/app").json["inputs"]["properties"]) == ["colour"]
    entry = server.wait(server.post("/api/workflows/app/run", json={"colour": "blue"}).json["prompt_id"])
    assert entry["prompt"][2]["2"]["inputs"]["colour"] == "blue"
    assert entry["outputs"]["2"]["images"][0]["filename"] == "x_00001_.png"


def test_metrics(server: Server) -> None:
    server.wait(server.queue(chain()))
    lines = server.get("/metrics").text.splitlines()
    assert 'loom_jobs{state="done"} 1' in lines
    assert 'loom_jobs_ended_total{end="finished"} 1' in lines
    assert "loom_queue_remaining 0" in lines
    for line in lines:
        assert line.startswith("# ") or len(line.rsplit(" ", 1)) == 2


def test_history_and_temp_files_have_bounds(make_server: Any, tmp_path: Path) -> None:
    import os

    server: Server = make_server(max_history=2)
    ids = [server.queue(chain(start=n)) for n in range(5)]
    for job_id in ids:
        server.wait(job_id)
    old, new = tmp_path / "temp" / "a" / "old.png", tmp_path / "temp" / "new.png"
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    server.stop()
    journal = tmp_path / "user" / "journals" / ids[0]
    journal.mkdir(parents=True)
    again: Server = make_server(max_history=2)
    until(lambda: len(again.get("/history").json) == 2)
    assert list(again.get("/history").json) == ids[3:]
    until(lambda: not old.exists())
    until(lambda: not journal.exists())
    assert new.exists()
