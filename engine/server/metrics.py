"""``/metrics``: numbers for Prometheus."""

import asyncio
import os
import time
from collections.abc import Sequence

from aiohttp import web

from engine.server.site import Site, site_of

TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(request: web.Request) -> web.Response:
    """Counts and gauges in Prometheus' text format."""
    site = site_of(request)
    lines = await asyncio.to_thread(collect, site)
    return web.Response(body="\n".join([*lines, ""]).encode(), headers={"Content-Type": TYPE})


def collect(site: Site) -> list[str]:
    jobs = [(f'{{state="{state}"}}', count) for state, count in sorted(site.history.count_by_state().items())]
    ended = [(f'{{end="{kind}"}}', count) for kind, count in sorted(site.counts.items())]
    engine = site.runtime.loaded
    return [
        *metric("loom_jobs", "gauge", "Jobs in the database by state.", jobs),
        *metric("loom_jobs_ended_total", "counter", "Jobs that ended since the server started.", ended),
        *metric("loom_queue_remaining", "gauge", "Jobs queued or running.", [("", site.store.remaining)]),
        *metric("loom_websocket_clients", "gauge", "Open websockets.", [("", site.hub.connected)]),
        *metric("loom_websocket_dropped_total", "counter", "Websockets that did not read.", [("", site.hub.dropped)]),
        *metric("loom_node_types", "gauge", "Known node types.", [("", len(engine.specs) if engine else 0)]),
        *metric("process_resident_memory_bytes", "gauge", "Memory of this process.", [("", resident())]),
        *metric("process_start_time_seconds", "gauge", "When the server started.", [("", site.started)]),
        *metric("loom_uptime_seconds", "gauge", "How long it has run.", [("", time.time() - site.started)]),
    ]


def metric(name: str, kind: str, about: str, values: Sequence[tuple[str, float]]) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *(f"{name}{labels} {value:g}" for labels, value in values)]


def resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
