"""What a job has done so far, in the words of ComfyUI's websocket and history. Each event is told as zero or more messages."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from engine import events
from engine.jobs.job import dump, plain

Data = dict[str, Any]


class Encoded(str):
    """Data that is JSON text already."""

    __slots__ = ()


Message = tuple[str, Data | Encoded]
SNAPSHOT_SECONDS = 0.1
FREQUENT_BELOW = 64
"""A snapshot of a job with more nodes than this is told at most every ``SNAPSHOT_SECONDS``: it grows with the graph."""
NODE_COST = "node_cost"
"""Ours: what a node took in seconds and bytes. ComfyUI has no such message, so it goes only to clients that know it."""
MOVING = ("value", "max", "state")
"""What changes of a node's state while it runs."""
KEPT = ("execution_start", "execution_cached", "execution_success", "execution_error", "execution_interrupted")


@dataclass
class Story:
    """One job's: safe to tell from any thread."""

    job: str
    workflow_id: str | None = None
    clock: Callable[[], float] = time.monotonic
    outputs: Data = field(default_factory=dict)
    meta: Data = field(default_factory=dict)
    kept: list[list[Any]] = field(default_factory=list)
    nodes: dict[str, Data] = field(default_factory=dict)
    error: Data | None = None
    last_node: str | None = None
    last_display: str | None = None
    _texts: dict[str, str] = field(default_factory=dict)
    _lasting: dict[str, tuple[str, str]] = field(default_factory=dict)
    _told_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, event: events.Event) -> list[Message]:
        """The messages that an event becomes, in the order in which ComfyUI sends them."""
        with self._lock:
            told = self._tell(event)
        for name, data in told:
            if name in KEPT:
                self.kept.append([name, data])
        return told

    def _tell(self, event: events.Event) -> list[Message]:
        if isinstance(event, events.Started):
            return [("execution_start", self._about(timestamp=stamp(event.time)))]
        if isinstance(event, events.Cached):
            return [("execution_cached", {"nodes": list(event.nodes), **self._about(timestamp=stamp(event.time))})]
        if isinstance(event, events.StepStarted):
            self.last_node, self.last_display = event.node, event.display
            state = self._snapshot(event, 0.0, 1.0, "running")
            return [*state, ("executing", {"node": event.node, "display_node": event.display, **self._about()})]
        if isinstance(event, events.Progress):
            state = self._snapshot(event, event.value, event.total, "running")
            bar = {"value": event.value, "max": event.total, **self._about(), "node": event.node}
            return [*state, ("progress", bar)]
        if isinstance(event, events.StepFinished):
            return self._finish_step(event)
        if isinstance(event, events.StepBlocked):
            return [("execution_error", self._blocked(event))]
        return self._end(event)

    def _finish_step(self, event: events.StepFinished) -> list[Message]:
        told: list[Message] = []
        if event.ui is not None:
            output = plain(dict(event.ui))
            self.outputs[event.node] = output
            self.meta[event.node] = {
                "node_id": event.node, "display_node": event.display, "parent_node": event.parent, "real_node_id": event.display,
            }  # fmt: skip
            shown = {"node": event.node, "display_node": event.display, "output": output, **self._about()}
            told.append(("executed", shown))
        before = self.nodes.get(event.node)
        total = before["max"] if before else 1.0
        told += self._snapshot(event, total, total, "finished")
        if not event.cached:
            cost = {"seconds": round(event.seconds, 6), "nbytes": event.nbytes}
            told.append((NODE_COST, {**self._about(), "node": event.node, "display_node": event.display, **cost}))
        return told

    def _end(self, event: events.Event) -> list[Message]:
        if isinstance(event, events.Finished):
            return [*self._now(), ("execution_success", self._about(timestamp=stamp(event.time)))]
        if isinstance(event, events.Failed):
            self.error = self._failure(event)
            if event.node in self.nodes:
                self._note(self.nodes[event.node] | {"state": "error"})
            return [*self._now(), ("execution_error", {**self.error, "timestamp": stamp(event.time)})]
        if isinstance(event, events.Cancelled):
            stopped = {"node_id": event.node, "node_type": event.type, "executed": list(event.finished)}
            return [("execution_interrupted", {**self._about(), **stopped, "timestamp": stamp(event.time)})]
        return []

    def _about(self, **more: Any) -> Data:
        about: Data = {"prompt_id": self.job, **more}
        if self.workflow_id:
            about["workflow_id"] = self.workflow_id
        return about

    def _snapshot(self, event: Any, value: float, total: float, state: str) -> list[Message]:
        """Note where a node stands; the whole state as a message, if it is time for one."""
        self._note({
            "value": value, "max": total, "state": state, "node_id": event.node, "prompt_id": self.job,
            "display_node_id": event.display, "parent_node_id": event.parent, "real_node_id": event.display,
        })  # fmt: skip
        if len(self.nodes) > FREQUENT_BELOW and self.clock() - self._told_at < SNAPSHOT_SECONDS:
            return []
        return [self.progress_state()]

    def _now(self) -> list[Message]:
        return [self.progress_state()] if len(self.nodes) > FREQUENT_BELOW else []

    def _note(self, state: Data) -> None:
        """Keep a node's state, and its text: most of a snapshot is as it was in the one before."""
        node = state["node_id"]
        self.nodes[node] = state
        lasting = self._lasting.get(node)
        if lasting is None:
            rest = {name: state[name] for name in state if name not in MOVING}
            lasting = self._lasting[node] = dump(node), dump(rest)[1:]
        value, most = state["value"], state["max"]
        if isfinite(value) and isfinite(most):
            head = f'{{"value":{value!r},"max":{most!r},"state":"{state["state"]}",'
            self._texts[node] = f"{lasting[0]}:{head}{lasting[1]}"

    def progress_state(self) -> Message:
        """Where every node stands that has begun."""
        self._told_at = self.clock()
        about = dump(self._about())[:-1]
        return "progress_state", Encoded(f'{about},"nodes":{{{",".join(list(self._texts.values()))}}}}}')

    def _failure(self, event: events.Failed) -> Data:
        return {
            **self._about(),
            "node_id": event.node,
            "node_type": event.type,
            "executed": list(event.finished),
            "exception_message": event.message,
            "exception_type": event.exception_type,
            "traceback": list(event.traceback),
            "current_inputs": {
                name: value if isinstance(value, list) else [value] for name, value in plain(dict(event.inputs)).items()
            },
            "current_outputs": list(event.finished),
        }

    def _blocked(self, event: events.StepBlocked) -> Data:
        return {
            **self._about(),
            "node_id": event.node,
            "node_type": event.type,
            "executed": [],
            "exception_message": event.message,
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": {},
            "current_outputs": [],
        }

    def outputs_count(self) -> int:
        """How many files and texts the nodes put out."""
        return sum(len(items) for output in self.outputs.values() for items in output.values() if isinstance(items, list))


def stamp(seconds: float) -> int:
    return int(seconds * 1000)
