"""``/prompt``: a body in any written form becomes a checked, committed job, or every problem at once."""

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import Field, ValidationError

from engine.folders import Folders
from engine.jobs.job import Job, JobError, Submission, dump, now
from engine.problems import GraphError, Problem
from engine.server.access import user_of
from engine.server.bodies import Answer, Body, explain, json_answer, read_json
from engine.server.refusal import Refusal, refuse, refuse_prompt
from engine.server.runtime import Engine
from engine.server.site import Site, site_of
from engine.workflow.needs import offer, offer_all
from engine.workflow.replacements import replace_nodes

if TYPE_CHECKING:
    from engine.graph import Graph

CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECRET = ("auth_token_comfy_org", "api_key_comfy_org")
SMALL_PROMPT = 200
MAX_KEY = 200
NODES_SHOWN, OUTPUTS_SHOWN = 1000, 100
LOOK_SECONDS = 2.0
"""How long a refusal may wait for the same file under another name to be found."""


class PromptBody(Body):
    """A job to queue. Give ``prompt`` (API format) or ``workflow`` (the editor's format)."""

    prompt: Any = None
    workflow: dict[str, Any] | None = None
    client_id: str | None = Field(default=None, max_length=200)
    prompt_id: str | None = None
    number: float | None = None
    front: bool = False
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    title: str = Field(default="", max_length=10_000)
    extra_data: dict[str, Any] | None = None
    partial_execution_targets: list[str] | None = None
    workflow_id: str | None = None


class PromptAnswer(Answer):
    prompt_id: str
    number: float
    node_errors: dict[str, Any]


class ExecInfo(Answer):
    queue_remaining: int


class QueueLength(Answer):
    exec_info: ExecInfo


async def get_prompt(request: web.Request) -> web.Response:
    """How many jobs are queued or running."""
    return json_answer({"exec_info": {"queue_remaining": site_of(request).store.remaining}})


async def post_prompt(request: web.Request) -> web.Response:
    """Queue a prompt; it is on the disk before its id is answered."""
    site = site_of(request)
    try:
        data = await read_json(request, empty={})
    except Refusal as no:
        raise in_envelope(no) from None
    engine = await site.runtime.engine()
    if engine.guests is not None and isinstance(data, dict):
        data = engine.guests.on_prompt(data)
    body = check_body(data)
    job, errors = await queue_prompt(site, engine, body, request)
    number = int(job.number) if job.number == int(job.number) else job.number
    return json_answer({"prompt_id": job.id, "number": number, "node_errors": errors})


def in_envelope(no: Refusal) -> Refusal:
    """What is wrong with a body that cannot be read, where ``POST /prompt`` says what is wrong."""
    details = str(no.body["error"]) if isinstance(no.body, Mapping) else str(no.body)
    return refuse_prompt("invalid_json", "The body cannot be read", details, status=no.status)


def check_body(data: Any) -> PromptBody:
    """The body as a model, in ComfyUI's envelope where it does not fit."""
    if not isinstance(data, dict):
        raise refuse_prompt("no_prompt", "No prompt provided", "Expected a JSON object with a prompt.")
    try:
        body = PromptBody.model_validate(data)
    except ValidationError as problem:
        raise refuse_prompt("invalid_prompt", "The request does not fit", explain(problem)) from None
    if body.prompt is None and body.workflow is None:
        raise refuse_prompt("no_prompt", "No prompt provided", "No prompt provided")
    if body.prompt_id is not None and not CANONICAL.fullmatch(body.prompt_id):
        details = f"Expected a lowercase UUID with hyphens, but got {body.prompt_id[:100]!r}."
        raise refuse_prompt("invalid_prompt_id", "prompt_id must be a canonical UUID", details)
    return body


async def queue_prompt(site: Site, engine: Engine, body: PromptBody, request: web.Request) -> tuple[Job, dict[str, Any]]:
    """Check and commit; the job, and the errors of outputs that were left out."""
    user = user_of(request)
    if site.store.remaining >= site.options.max_queue:
        details = f"{site.store.remaining} jobs wait; the bound is {site.options.max_queue}."
        raise refuse_prompt("queue_full", "The queue is full", details, status=429)
    prompt, extra, targets = await written_prompt(engine, body, site.folders_of(user.id))
    prompt = replace_nodes(prompt, engine.replacements, engine.specs)
    flow = workflow_of(body, extra)
    graph = await checked(site, engine, prompt, body.partial_execution_targets or targets, user.id, body, flow)
    wanted = Submission(
        prompt=dict(prompt), targets=graph.targets, owner=user.id, client_id=body.client_id, extra=extra,
        id=body.prompt_id or str(uuid.uuid4()), chosen_id=body.prompt_id is not None,
        number=body.number, front=body.front, priority=body.priority, idempotency_key=idempotency_key(request),
        workflow_id=workflow_id(body, extra), title=clean(body.title),
    )  # fmt: skip
    site.runtime.keep(wanted.id, graph)
    try:
        job = await asyncio.wrap_future(site.store.submit(wanted))
    except JobError as problem:
        raise refuse_prompt("invalid_prompt_id", "The id is taken", str(problem)) from None
    if job.id != wanted.id:
        site.runtime.forget(wanted.id)
    site.worker.wake()
    site.hub.queue_changed()
    left_out = await asyncio.to_thread(offer_all, graph.problems, flow, site.model_hashes, LOOK_SECONDS) if graph.problems else ()
    return job, node_errors(left_out, graph.dependents)


async def written_prompt(
    engine: Engine, body: PromptBody, folders: Folders
) -> tuple[Mapping[str, Any], dict[str, Any], list[str] | None]:
    """The API form of what was sent, what is to be kept beside it, and the outputs asked for (None: all)."""
    extra = {name: value for name, value in (body.extra_data or {}).items() if name not in SECRET}
    if body.client_id is not None:
        extra["client_id"] = body.client_id
    extra["create_time"] = now()
    workflow = body.workflow
    if workflow is None and isinstance(body.prompt, dict) and isinstance(body.prompt.get("nodes"), list):
        workflow = body.prompt
    if workflow is None:
        if not isinstance(body.prompt, dict):
            raise refuse_prompt("invalid_prompt", "Not a prompt", "Expected a JSON object of nodes by id.")
        return body.prompt, extra, None
    from engine.workflow.definitions import describe_all
    from engine.workflow.reading import WorkflowError, to_prompt

    try:
        prompt = await asyncio.to_thread(lambda: to_prompt(workflow, describe_all(engine.specs, folders)))
    except WorkflowError as problem:
        raise refuse_prompt("invalid_workflow", "The workflow cannot be read", str(problem)) from None
    pnginfo = extra.get("extra_pnginfo")
    extra["extra_pnginfo"] = {"workflow": workflow, **(pnginfo if isinstance(pnginfo, dict) else {})}
    return prompt, extra, None


async def checked(
    site: Site, engine: Engine, prompt: Mapping[str, Any], targets: list[str] | None, owner: str, body: PromptBody, flow: Any
) -> "Graph":
    """The prompt as a graph, a large one checked beside the loop; ComfyUI's 400 where nothing of it can run."""
    if body.partial_execution_targets == []:
        raise refuse_prompt("prompt_no_outputs", "Prompt has no outputs")
    folders = site.folders_of(owner)
    try:
        if len(prompt) <= SMALL_PROMPT:
            return site.runtime.check(engine, prompt, targets, folders)
        return await asyncio.to_thread(site.runtime.check, engine, prompt, targets, folders)
    except GraphError as problem:
        raise refuse_graph(await asyncio.to_thread(offer, problem, flow, site.model_hashes, LOOK_SECONDS)) from None


def workflow_of(body: PromptBody, extra: Mapping[str, Any]) -> Any:
    """The editor's file that a prompt was made from, where the client sent it along."""
    pnginfo = extra.get("extra_pnginfo")
    return body.workflow or (pnginfo.get("workflow") if isinstance(pnginfo, dict) else None)


def refuse_graph(error: GraphError) -> Refusal:
    """A prompt's problems in ComfyUI's envelope."""
    nodes = node_errors(error.problems, error.dependents)
    first = error.problems[0]
    if error.whole is not None:
        whole = error.whole
        return refuse_prompt(whole.error, whole.message, words(whole), extra=plain(whole.extra), nodes=nodes)
    if first.error in ("missing_node_type", "invalid_prompt"):
        return refuse_prompt(first.error, first.message, words(first), extra=plain(first.extra), nodes=nodes)
    lines = [f"* {problem.type} {problem.node}:\n  - {problem.message}: {problem.details}" for problem in error.problems[:100]]
    return refuse_prompt("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines), nodes=nodes)


def words(problem: Problem) -> str:
    return f"{problem.details}. {problem.cure}" if problem.cure and problem.details else problem.details or problem.cure


def node_errors(problems: Sequence[Problem], dependents: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Problems by node, with the outputs that each keeps from running."""
    found: dict[str, Any] = {}
    for problem in problems:
        if problem.node is None or (len(found) >= NODES_SHOWN and problem.node not in found):
            continue
        outputs = list(dependents.get(problem.node, ()))[:OUTPUTS_SHOWN]
        entry = found.setdefault(problem.node, {"errors": [], "dependent_outputs": outputs, "class_type": problem.type})
        told = {"type": problem.error, "message": problem.message, "details": problem.details, "extra_info": plain(problem.extra)}
        told["sentence"] = str(problem)
        if problem.cure:
            told["cure"] = problem.cure
        entry["errors"].append(told)
    return found


def plain(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can say of it."""
    try:
        dump(dict(extra))
    except (TypeError, ValueError):
        return {name: value if isinstance(value, str | int | None) else repr(value)[:1000] for name, value in extra.items()}
    return dict(extra)


def idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise refuse(400, f"Expected an Idempotency-Key of 1 to {MAX_KEY} characters.")
    return key


def workflow_id(body: PromptBody, extra: Mapping[str, Any]) -> str | None:
    """The id of the workflow that the prompt was made from, where the client says it."""
    if body.workflow_id:
        return clean(body.workflow_id)[:200]
    workflow = workflow_of(body, extra)
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return clean(found)[:200] if isinstance(found, str) else None


def clean(text: str) -> str:
    """Text that every database takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
