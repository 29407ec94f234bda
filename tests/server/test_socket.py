"""The websocket as ComfyUI's clients hear it: messages, their order, binary previews, coming back in mid-job."""

import json
import struct
import time
from collections.abc import Callable
from typing import Any

from engine.server.frames import Binary
from engine.server.outbox import LAGGING, Outbox
from tests.server.conftest import Server, Socket, chain, waiting
from tests.server.test_prompt import until


def names(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages if isinstance(message, dict)]


def without_state(messages: list[Any]) -> list[str]:
    return [name for name in names(messages) if name not in ("progress_state", "progress", "status")]


def test_the_first_message_gives_the_sid(server: Server) -> None:
    socket = server.socket("abc")
    assert socket.receive() == {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "abc"}}
    anonymous = server.socket("").receive()
    assert len(anonymous["data"]["sid"]) == 32


def test_the_order_of_a_run(server: Server) -> None:
    socket = server.socket("a")
    socket.receive()
    prompt_id = server.queue(chain(), client_id="a")
    messages = socket.until_end(prompt_id)
    assert without_state(messages) == [
        "execution_start", "execution_cached", "executing", "executing", "executing", "executed", "execution_success",
        "executing",
    ]  # fmt: skip
    by_name = {message["type"]: message["data"] for message in messages}
    assert by_name["execution_start"].keys() == {"prompt_id", "timestamp"}
    assert by_name["execution_cached"].keys() == {"nodes", "prompt_id", "timestamp"}
    assert by_name["executed"] == {"node": "3", "display_node": "3", "output": {"text": ["2"]}, "prompt_id": prompt_id}
    assert by_name["execution_success"].keys() == {"prompt_id", "timestamp"}
    state = by_name["progress_state"]["nodes"]["3"]
    assert state == {
        "value": 1.0, "max": 1.0, "state": "finished", "node_id": "3", "prompt_id": prompt_id, "display_node_id": "3",
        "parent_node_id": None, "real_node_id": "3",
    }  # fmt: skip
    assert messages[0]["type"] == "status"
    assert messages[-2] == {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}}
    assert messages[-1]["data"] == {"node": None, "prompt_id": prompt_id}


def test_what_a_node_took_is_told_to_those_who_know_the_word(server: Server) -> None:
    """A client that does not say so hears what ComfyUI's clients know, and nothing else."""
    socket = server.socket("ours")
    socket.send({"type": "feature_flags", "data": {"supports_node_cost": True}})
    told = socket.until_end(server.queue(chain(), client_id="ours"))
    costs = {message["data"]["node"]: message["data"] for message in told if message["type"] == "node_cost"}
    assert costs.keys() == {"1", "2", "3"}
    assert all(cost["seconds"] >= 0 and cost["nbytes"] >= 0 for cost in costs.values())
    other = server.socket("other").until_end(server.queue(chain(start=7), client_id="other"))
    assert "node_cost" not in names(other)


def test_a_cached_run(server: Server) -> None:
    server.wait(server.queue(chain()))
    socket = server.socket("a")
    messages = socket.until_end(server.queue(chain(), client_id="a"))
    assert without_state(messages) == ["execution_start", "execution_cached", "executed", "execution_success", "executing"]
    cached = next(message["data"]["nodes"] for message in messages if message["type"] == "execution_cached")
    assert sorted(cached) == ["1", "2", "3"]


def test_progress(server: Server) -> None:
    socket = server.socket("a")
    began = time.monotonic()
    messages = socket.until_end(server.queue(waiting(0.4), client_id="a"))
    took = time.monotonic() - began
    bars = [message["data"] for message in messages if message["type"] == "progress"]
    assert bars[-1] | {"prompt_id": ""} == {"value": 20.0, "max": 20.0, "prompt_id": "", "node": "1"}
    assert 2 <= len(bars) <= took * 10 + 3
    assert [bar["value"] for bar in bars] == sorted(bar["value"] for bar in bars)


def test_an_error(server: Server) -> None:
    socket = server.socket("a")
    prompt = {"1": {"class_type": "Fail", "inputs": {}}, "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}
    messages = socket.until_end(server.queue(prompt, client_id="a"))
    assert without_state(messages) == ["execution_start", "execution_cached", "executing", "execution_error", "executing"]
    error = next(message["data"] for message in messages if message["type"] == "execution_error")
    assert error.keys() == {
        "prompt_id", "node_id", "node_type", "executed", "exception_message", "exception_type", "traceback", "current_inputs",
        "current_outputs", "timestamp",
    }  # fmt: skip


def test_an_interruption(server: Server) -> None:
    socket = server.socket("a")
    prompt_id = server.queue(waiting(), client_id="a")
    socket.until(lambda m: isinstance(m, dict) and m["type"] == "progress")
    server.post("/interrupt")
    messages = socket.until_end(prompt_id)
    assert without_state(messages) == ["execution_interrupted", "executing"]
    stopped = next(message["data"] for message in messages if message["type"] == "execution_interrupted")
    assert stopped.keys() == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}
    assert (stopped["node_id"], stopped["node_type"]) == ("1", "Wait")


def test_only_the_submitting_client_hears_of_a_job(server: Server) -> None:
    mine, other, watcher = (server.socket(name) for name in ("mine", "other", "watcher"))
    watcher.send({"type": "watch", "data": {"jobs": ["*"]}})
    until(lambda: len(server.site.hub.watchers) == 1)
    messages = mine.until_end(server.queue(chain(), client_id="mine"))
    assert "executed" in names(messages)
    last = server.queue(chain(5), client_id="other")
    heard = other.until_end(last)
    assert [m["data"].get("prompt_id") for m in heard if m["type"] == "executed"] == [last]
    assert names(watcher.until_end(last)).count("executed") == 2


def test_feature_flags_are_answered_to_first_words_only(server: Server) -> None:
    socket = server.socket("a")
    socket.receive()
    socket.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    answer = socket.receive()
    assert answer["type"] == "feature_flags"
    assert answer["data"]["supports_preview_metadata"] is True
    assert answer["data"]["max_upload_size"] == 100 * 1024 * 1024
    socket.send({"type": "feature_flags", "data": {"supports_preview_metadata": False}})
    messages = socket.until_end(server.queue(glimpse(), client_id="a"))
    assert "feature_flags" not in names(messages)
    assert kinds(messages) == {Binary.PREVIEW_WITH_METADATA, Binary.TEXT}


def glimpse(frames: int = 2) -> dict[str, Any]:
    return {
        "1": {"class_type": "Glimpse", "inputs": {"frames": frames}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }


def kinds(messages: list[Any]) -> set[int]:
    return {struct.unpack(">I", message[:4])[0] for message in messages if isinstance(message, bytes)}


def test_clients_that_know_no_previews_get_none_unasked(server: Server) -> None:
    old = server.socket("old")
    frames = [m for m in old.until_end(server.queue(glimpse(2), client_id="old")) if isinstance(m, bytes)]
    assert frames == []
    wanted = {"extra_data": {"preview_method": "latent2rgb"}}
    assert Binary.PREVIEW in kinds(old.until_end(server.queue(glimpse(3), client_id="old", **wanted)))


def test_previews_in_the_old_and_the_new_form(make_server: Callable[..., Server]) -> None:
    server = make_server(previews="all")
    old, new = server.socket("old"), server.socket("new")
    new.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    frames = [m for m in old.until_end(server.queue(glimpse(2), client_id="old")) if isinstance(m, bytes)]
    plain = next(frame for frame in frames if frame[:4] == b"\0\0\0\1")
    assert plain[4:8] == b"\0\0\0\1"
    assert plain[8:10] == b"\xff\xd8"
    frames = new.until_end(server.queue(glimpse(4), client_id="new"))
    text = next(frame for frame in frames if isinstance(frame, bytes) and frame[:4] == b"\0\0\0\3")
    assert text[4:] == b"\0\0\0\1" + b"1" + b"looking"
    prompt_id = server.queue(glimpse(3), client_id="new")
    frames = [m for m in new.until_end(prompt_id) if isinstance(m, bytes) and m[:4] == b"\0\0\0\4"]
    (length,) = struct.unpack(">I", frames[0][4:8])
    about = json.loads(frames[0][8 : 8 + length])
    assert about == {
        "node_id": "1", "prompt_id": prompt_id, "display_node_id": "1", "parent_node_id": None, "real_node_id": "1",
        "image_type": "image/jpeg",
    }  # fmt: skip
    assert frames[0][8 + length :][:2] == b"\xff\xd8"


def test_packs_send_what_they_like(server: Server) -> None:
    from PIL import Image

    one, two = server.socket("one"), server.socket("two")
    server.site.hub.send("my.event", {"a": 1})
    server.site.hub.send("my.other", {"b": 2, "no JSON": float("nan")}, "two")
    server.site.hub.send(Binary.UNENCODED, ("PNG", Image.new("RGB", (64, 32)), 16), "two")
    server.site.hub.send(Binary.TEXT, b"raw", "two")
    assert one.until(lambda m: m["type"] == "my.event")[-1]["data"] == {"a": 1}
    assert two.until(lambda m: m["type"] == "my.other")[-1]["data"] == {"b": 2, "no JSON": None}
    frame = two.receive()
    assert frame[:8] == b"\0\0\0\1\0\0\0\2"
    assert frame[8:12] == b"\x89PNG"
    assert two.receive() == b"\0\0\0\3raw"


def test_coming_back_in_mid_job(server: Server) -> None:
    first = server.socket("a")
    prompt_id = server.queue(waiting(4.0), client_id="a")
    first.until(lambda m: isinstance(m, dict) and m["type"] == "progress")
    first.close()
    second = server.socket("a")
    messages = second.until_end(prompt_id)
    assert messages[0]["data"]["sid"] == "a"
    assert {"node": "1", "display_node": "1", "prompt_id": prompt_id} in [m["data"] for m in messages if m["type"] == "executing"]
    assert names(messages).count("executed") == 1
    assert names(messages).count("execution_success") == 1


def test_what_a_client_misses_waits_for_it(server: Server) -> None:
    first = server.socket("a")
    prompt_id = server.queue(waiting(0.3), client_id="a")
    first.until(lambda m: isinstance(m, dict) and m["type"] == "progress")
    first.close()
    server.wait(prompt_id)
    assert "execution_success" in names(server.socket("a").until_end(prompt_id))


def test_the_same_client_id_replaces_the_older_socket(server: Server) -> None:
    first = server.socket("a")
    first.receive()
    second = server.socket("a")
    assert "executed" in names(second.until_end(server.queue(chain(), client_id="a")))


def test_junk_from_a_client_is_passed_over(server: Server) -> None:
    socket: Socket = server.socket("a")
    for junk in (
        "[",
        "null",
        "5",
        '"x"',
        '{"type": 1}',
        '{"type": "watch"}',
        '{"type": "watch", "data": {"jobs": 5}}',
        "[" * 50_000,
    ):
        server.call(socket.socket.send_str(junk))
    server.call(socket.socket.send_bytes(b"\0\1"))
    assert "executed" in names(socket.until_end(server.queue(chain(), client_id="a")))


def test_log_lines_for_those_who_ask(server: Server) -> None:
    import logging

    socket = server.socket("a")
    socket.receive()
    assert server.request("PATCH", "/internal/logs/subscribe", json={"clientId": "a", "enabled": True}).status == 200
    logging.getLogger("engine.test").warning("a line")
    message = socket.until(lambda m: m["type"] == "logs")[-1]
    assert message["data"]["entries"][0]["m"] == "WARNING engine.test: a line\n"
    assert "a line" in server.get("/internal/logs").json
    assert server.get("/internal/logs/raw").json.keys() == {"entries", "size"}


def test_an_outbox_keeps_only_the_newest_state_of_one_who_lags() -> None:
    box = Outbox(max_frames=100, max_bytes=1000)
    for n in range(LAGGING):
        assert box.put(f"message {n}")
    for n in range(500):
        assert box.put(f"state {n}", "state")
    assert len(box) == LAGGING + 1
    assert box.take()[-1] == "state 499"
    assert box.nbytes == 0
    assert all(box.put("x" * 100) for _ in range(10))
    assert not box.put("x")
