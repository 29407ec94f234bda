"""``/ws``: one websocket a client; what it is told comes from its outbox in the hub."""

import asyncio
import json
import uuid
from typing import Any

from aiohttp import WSMsgType, web

from engine.server.access import user_of
from engine.server.hub import Client, encode
from engine.server.site import Site, site_of
from engine.server.stats import features

MAX_MESSAGE = 64 * 1024
MAX_CLIENT_ID = 128


async def websocket(request: web.Request) -> web.StreamResponse:
    """Everything that happens, as ComfyUI's websocket messages and binary previews."""
    site = site_of(request)
    user = user_of(request)
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, compress=False)
    await socket.prepare(request)
    sid = request.query.get("clientId", "")[:MAX_CLIENT_ID] or uuid.uuid4().hex
    client = site.hub.join((user.id, sid), everyone=user.sees_all)
    client.socket = socket
    catch_up(site, client)
    sender = asyncio.create_task(send(request, socket, client))
    try:
        await listen(site, client, socket)
    finally:
        site.hub.leave(client)
        sender.cancel()
    return socket


async def send(request: web.Request, socket: web.WebSocketResponse, client: Client) -> None:
    """Send what is in the outbox, until the client is given up or goes."""
    try:
        while not client.lost:
            await client.filled.wait()
            client.filled.clear()
            for frame in client.outbox.take():
                if isinstance(frame, str):
                    await socket.send_str(frame)
                else:
                    await socket.send_bytes(frame)
    except (ConnectionError, RuntimeError):
        pass
    if client.lost and client.address in site_of(request).hub.clients:
        site_of(request).hub.dropped += 1
    if request.transport is not None and client.lost:
        request.transport.abort()


def catch_up(site: Site, client: Client) -> None:
    """Tell a client that comes back in mid-job where its job stands."""
    running = site.worker.running
    if running is None or client.address != (running.job.owner, running.job.client_id):
        return
    story = running.story
    if story.last_node is not None:
        about = {"node": story.last_node, "display_node": story.last_display, "prompt_id": running.job.id}
        client.put(encode(*story.progress_state()))
        client.put(encode("executing", about))


async def listen(site: Site, client: Client, socket: web.WebSocketResponse) -> None:
    first = True
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        try:
            said = json.loads(message.data)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict):
            hear(site, client, said, first)
        first = False


def hear(site: Site, client: Client, said: dict[str, Any], first: bool) -> None:
    """What a client may say: its features (as its first words), and which jobs it wants to watch."""
    data = said.get("data")
    if said.get("type") == "feature_flags" and first:
        client.features = data if isinstance(data, dict) else {}
        client.put(encode("feature_flags", features(site)))
    elif said.get("type") in ("watch", "unwatch") and isinstance(data, dict):
        for job in data.get("jobs", [])[:1000] if isinstance(data.get("jobs"), list) else []:
            site.hub.watch(client, str(job), on=said["type"] == "watch")
