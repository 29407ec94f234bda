"""The server's jobs as packs of nodes may ask for them, from any thread."""

import json
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.jobs.job import Job
    from engine.server.site import Site


class PackJobs:
    """``engine.comfy.host.Jobs`` over a server. Packs run with all rights: they see every user's jobs."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def queue(self) -> tuple[list[list[Any]], list[list[Any]]]:
        running, waiting = self.site.store.queue()
        return [self.item(job) for job in running], [self.item(job) for job in waiting]

    def item(self, job: "Job") -> list[Any]:
        from engine.server.queue import item_text

        found: list[Any] = json.loads(item_text(job))
        return found

    def past(self, job_id: str | None, most: int | None) -> dict[str, Any]:
        from engine.jobs.history import entry_text
        from engine.jobs.job import FINISHED

        if job_id is None:
            found = self.site.history.last(most, None, None)
        else:
            job = self.site.store.get(job_id)
            found = [job] if job is not None and job.state in FINISHED and job.started is not None else []
        return {job.id: json.loads(entry_text(job)) for job in found}

    def cancel(self, job_ids: list[str] | None) -> None:
        for job_id in self.site.store.cancel(job_ids, waiting_only=True).result():
            self.site.runtime.forget(job_id)
            self.site.listeners.tell(job_id, None)
        self.site.worker.wake()

    def put(self, job_id: str, prompt: dict[str, Any], extra: dict[str, Any], targets: list[str] | None, first: bool) -> None:
        """For the user whose job runs; an id that is no UUID, or none, gets one."""
        from engine.jobs.job import Submission
        from engine.server.access import DEFAULT_ID
        from engine.server.prompts import CANONICAL, SECRET

        site, engine = self.site, self.site.runtime.loaded
        if engine is None or site.store.remaining >= site.options.max_queue:
            raise RuntimeError(
                f"The queue takes no more: {site.store.remaining} jobs wait, the bound is {site.options.max_queue}."
            )
        running = site.worker.running
        owner = running.job.owner if running is not None else DEFAULT_ID
        kept = {name: value for name, value in extra.items() if name not in SECRET}
        graph = site.runtime.check(engine, prompt, targets or None, site.folders_of(owner))
        chosen = CANONICAL.fullmatch(job_id) is not None
        wanted = Submission(
            prompt=prompt, targets=graph.targets, owner=owner, client_id=kept.get("client_id"), extra=kept,
            id=job_id if chosen else str(uuid.uuid4()), chosen_id=chosen, front=first,
        )  # fmt: skip
        site.store.submit(wanted).result()
        site.worker.wake()
        site.hub.queue_changed()

    def free(self, models: bool, results: bool) -> None:
        engine = self.site.runtime.loaded
        if engine is not None:
            self.site.worker.between(lambda: engine.free(models or results, results))
