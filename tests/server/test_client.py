"""The client against the real server: what the README shows, failures, leaving early."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.client import AsyncClient, Client, Progress, Refused, RunError
from tests.server.conftest import Server, chain, waiting
from tests.server.test_prompt import until

PICTURE = {
    "1": {"class_type": "Wait", "inputs": {"seconds": 0.3}, "_meta": {"title": "Wait"}},
    "2": {"class_type": "Picture", "inputs": {"colour": "red", "value": ["1", 0]}, "_meta": {"title": "Colour"}},
}


def test_a_saved_workflow_by_name(server: Server, tmp_path: Path) -> None:
    client = Client(server.url)
    server.post("/userdata/workflows%2Fpicture.json", json=PICTURE)
    with client.run("picture", colour="blue", seconds=0.2) as job:
        bars = [event.value for event in job if isinstance(event, Progress)]
        (file,) = job.files()
    assert bars[-1] == 10.0
    assert file.save(tmp_path).read_bytes()[1:4] == b"PNG"
    assert job.outputs["2"]["images"][0]["filename"] == file.filename == "loom_00001_.png"


def test_a_prompt_and_a_workflow(server: Server) -> None:
    client = Client(server.url)
    assert client.run(chain()).wait() == {"3": {"text": ["2"]}}
    show = {"id": 1, "type": "Show", "inputs": [{"name": "value", "type": "*", "link": 1}]}
    number = {"id": 2, "type": "Number", "widgets_values": [4], "outputs": [{"name": "INT", "type": "INT", "links": [1]}]}
    flow = {"nodes": [show, number], "links": [[1, 2, 0, 1, 0, "INT"]]}
    with client.run(flow) as job:
        pass
    assert job.outputs == {"1": {"text": ["4"]}}


def test_what_goes_wrong_is_raised(server: Server) -> None:
    client = Client(server.url)
    with pytest.raises(Refused, match="no workflow 'none'"):
        client.run("none")
    with pytest.raises(Refused, match="400"):
        client.run({"1": {"class_type": "Unheard of"}})
    with pytest.raises(TypeError):
        client.run(chain(), value=1)
    failing = {
        "1": {"class_type": "Fail", "inputs": {"message": "no luck"}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }
    with pytest.raises(RunError, match="no luck"):
        client.run(failing).wait()


def test_leaving_by_an_exception_cancels(server: Server) -> None:
    ids = []

    def give_up() -> None:
        with Client(server.url).run(waiting()) as job:
            ids.append(job.id)
            next(iter(job))
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    until(lambda: server.get(f"/api/jobs/{ids[0]}").json["status"] == "cancelled")


def test_the_same_with_asyncio(server: Server) -> None:
    async def work() -> tuple[list[float], bytes]:
        async with AsyncClient(server.url) as client, client.run(PICTURE) as job:
            bars = [event.value async for event in job if isinstance(event, Progress)]
            files = [file.data async for file in job.files()]
            with pytest.raises(Refused):
                await client.run("none").__aenter__()
        return bars, files[0]

    bars, data = asyncio.run(work())
    assert bars[-1] == 15.0
    assert data[1:4] == b"PNG"


def test_a_token_where_there_are_users(make_server: Callable[..., Server]) -> None:
    server = make_server(login=True)
    server.get("/")
    token = server.site.accounts.issue(server.site.accounts.add("ann").id)
    with pytest.raises(Refused, match="401"):
        Client(server.url).run(chain())
    assert Client(server.url, token).run(chain()).wait() == {"3": {"text": ["2"]}}
