"""ComfyUI's packs in a running server: what they bring beside nodes, and what they see of it."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.process import Process

PACKS = Path(__file__).parent / "packs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    base = tmp_path_factory.mktemp("base")
    (base / "custom_nodes").mkdir()
    for name in ("visitor", "contract", "schema"):
        shutil.copytree(PACKS / name, base / "custom_nodes" / name)
    (base / "custom_nodes" / "broken.py").write_text("import no_such_library\nNODE_CLASS_MAPPINGS = {}\n")
    process = Process(base, "--verbose", "INFO")
    process.start()
    process.get("/object_info")
    yield process
    process.end()


def look(word: str) -> dict[str, Any]:
    return {"1": {"class_type": "Visitor Look", "inputs": {"word": word}}}


def finished(server: Process, prompt_id: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while not (found := server.get(f"/history/{prompt_id}")):
        assert time.monotonic() < until, prompt_id
        time.sleep(0.02)
    entry: dict[str, Any] = found[prompt_id]
    return entry


def test_nodes_of_both_kinds_are_there_and_run(server: Process) -> None:
    info = server.get("/object_info")
    assert {"Contract Sum", "Schema Join", "Visitor Look"} <= info.keys()
    nodes = {
        "sum": {"class_type": "Contract Sum", "inputs": {"a": 2, "b": 3}},
        "join": {"class_type": "Schema Join", "inputs": {"a": 1, "b": ["sum", 0], "mode": "plus"}},
        "show": {"class_type": "Schema Show", "inputs": {"value": ["sum", 0]}},
    }
    entry = finished(server, server.post("/prompt", {"prompt": nodes})["prompt_id"])
    assert entry["outputs"]["show"]["text"] == ["5"]


def test_a_pack_that_cannot_be_imported_is_reported_with_its_reason(server: Process) -> None:
    log = (server.base / "server.log").read_text()
    assert "custom_nodes.broken could not be loaded" in log
    assert "no_such_library" in log
    assert "custom_nodes.visitor: 0." in log, "how long each pack took"


def test_routes_answer_with_and_without_api(server: Process) -> None:
    assert server.get("/visitor/hello/you") == {"hello": "you"}
    assert server.get("/api/visitor/hello/you") == {"hello": "you"}
    assert server.post("/visitor/echo", {"a": [1]}) == {"a": [1]}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        server.get("/visitor/none")


def test_scripts_workflows_and_words_are_served(server: Process) -> None:
    assert "/extensions/visitor-pack/visitor.js" in server.get("/extensions")
    assert "/extensions/contract/contract.js" in server.get("/extensions")
    assert server.get("/workflow_templates")["visitor"] == ["hello"]
    assert server.get("/api/workflow_templates/visitor/hello.json")["version"] == 0.4
    assert server.get("/i18n")["en"]["visitor"] == {"hello": "Hello"}


def test_prompts_pass_by_packs_and_their_messages_reach_the_client(server: Process) -> None:
    import asyncio

    async def talk() -> list[Any]:
        seen: list[Any] = []
        address = server.url.replace("http", "ws") + "/ws?clientId=me"
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            async with session.post(server.url + "/prompt", json={"prompt": look("hello"), "client_id": "me"}) as reply:
                prompt_id = (await reply.json())["prompt_id"]
            while True:
                message = await socket.receive(30)
                if message.type is aiohttp.WSMsgType.BINARY:
                    seen.append(message.data)
                    continue
                told = json.loads(message.data)
                seen.append(told)
                if told["type"] == "executing" and told["data"] == {"node": None, "prompt_id": prompt_id}:
                    return seen

    seen = asyncio.run(talk())
    assert {"type": "visitor.seen", "data": {"node": "1", "word": "HELLO"}} in [one for one in seen if isinstance(one, dict)]
    assert any(isinstance(one, bytes) and one.endswith(b"looking") for one in seen)


def test_packs_see_the_queue_and_what_has_run(server: Process) -> None:
    first = server.post("/prompt", {"prompt": look("first")})["prompt_id"]
    finished(server, first)
    wait = {"1": {"class_type": "Visitor Wait", "inputs": {"seconds": 0.5}}}
    server.post("/prompt", {"prompt": wait})
    alone = server.post("/prompt", {"prompt": look("alone")})["prompt_id"]
    unwanted = server.post("/prompt", {"prompt": look("unwanted")})["prompt_id"]
    last = server.post("/prompt", {"prompt": look("last")})["prompt_id"]
    shown = finished(server, alone)["outputs"]["1"]
    assert shown["running"] == [alone]
    assert shown["waiting"] == [unwanted, last]
    assert first in shown["before"]
    assert finished(server, last)["outputs"]["1"]["word"] == ["LAST"]
    assert server.get(f"/history/{unwanted}") == {}


def put(server: Process, **inputs: Any) -> Any:
    node = {"class_type": "Visitor Put", "inputs": inputs}
    return finished(server, server.post("/prompt", {"prompt": {"1": node}, "client_id": "me"})["prompt_id"])


def test_packs_put_prompts_into_the_queue(server: Process) -> None:
    id = str(uuid.uuid4())
    assert put(server, word="put", id=id)["status"]["status_str"] == "success"
    entry = finished(server, id)
    assert entry["outputs"]["1"]["word"] == ["put"], "queued as it is: prompt handlers are for what clients send"
    assert entry["prompt"][3]["client_id"] == "me"
    assert "secret" not in json.dumps(entry)


def test_a_prompt_put_with_a_number_below_zero_is_the_next(server: Process) -> None:
    first, last = str(uuid.uuid4()), str(uuid.uuid4())
    put(server, word="x", id=f"{last},{first}", number=-1)
    finished(server, last)
    assert [job for job in server.get("/history") if job in (first, last)] == [first, last]


def test_a_prompt_that_cannot_run_is_refused_where_it_was_put(server: Process) -> None:
    status = put(server, word="x", kind="No Such Node", id=str(uuid.uuid4()))["status"]
    assert status["status_str"] == "error"
    assert "No Such Node" in json.dumps(status["messages"])
