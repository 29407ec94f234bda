"""The job store on a real SQLite file: nothing queued is lost, nothing runs twice, order is what was asked for."""

import argparse
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from engine.jobs import tables
from engine.jobs.database import DatabaseError, migrate, open_database, upgrade
from engine.jobs.history import Bounds, History, Search, entry
from engine.jobs.job import JobError, State, Submission
from engine.jobs.leases import ATTEMPTS, Ending, Leases, is_dead, name_worker
from engine.jobs.reorder import edit_job, move_job
from engine.jobs.store import JobStore

PROMPT: dict[str, Any] = {"1": {"class_type": "Nothing", "inputs": {}}}


def submission(**changes: Any) -> Submission:
    values: dict[str, Any] = {"prompt": PROMPT, "targets": ["1"], "chosen_id": "id" in changes, **changes}
    return Submission(**values)


def submit(store: JobStore, **changes: Any) -> str:
    return store.submit(submission(**changes)).result().id


def ending(state: State = State.DONE) -> Ending:
    return Ending(state, outputs={"1": {"images": []}}, meta={}, messages=[["execution_start", {}]])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def store(url: str) -> Any:
    found = JobStore(open_database(url))
    yield found
    found.close()


def test_a_job_survives_the_store(url: str) -> None:
    first = JobStore(open_database(url))
    job_id = submit(first, title="boat")
    first.close()
    second = JobStore(open_database(url))
    job = second.get(job_id)
    assert job is not None
    assert job.state is State.QUEUED
    assert job.prompt == PROMPT
    assert job.title == "boat"
    assert second.remaining == 1
    second.close()


def test_order_is_priority_then_number_then_age(store: JobStore) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "first": {}, "second": {}, "front": {"front": True}, "urgent": {"priority": 5}, "numbered": {"number": 1.5},
    }  # fmt: skip
    ids = {name: submit(store, **how) for name, how in wanted.items()}
    _, queued = store.queue()
    assert [job.id for job in queued] == [ids[name] for name in ("urgent", "front", "first", "numbered", "second")]
    assert [store.position(job) for job in queued] == [0, 1, 2, 3, 4]


def test_a_lease_is_given_once(store: JobStore) -> None:
    ids = {submit(store) for _ in range(20)}
    taken: list[str] = []

    def work() -> None:
        leases = Leases(store)
        while job := leases.take().result():
            taken.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)


def test_the_same_idempotency_key_gives_the_same_job(store: JobStore) -> None:
    first = submit(store, idempotency_key="k")
    assert submit(store, idempotency_key="k") == first
    assert submit(store, idempotency_key="k", owner="ann") != first
    assert store.remaining == 2


def test_an_id_is_used_once(store: JobStore) -> None:
    first = submit(store, id="a")
    assert submit(store, id="a") == first
    with pytest.raises(JobError, match="belongs to another job"):
        submit(store, id="a", prompt={})
    with pytest.raises(JobError):
        submit(store, id="a", owner="ann")


def test_one_failing_change_fails_alone(store: JobStore) -> None:
    def broken(connection: Any) -> None:
        connection.execute(text("INSERT INTO marks VALUES ('a', NULL)"))

    futures = [store.submit(submission()) for _ in range(5)]
    bad = store.writer.submit(broken)
    futures += [store.submit(submission()) for _ in range(5)]
    with pytest.raises(IntegrityError):
        bad.result()
    assert len({future.result().id for future in futures}) == 10
    assert store.recount() == 10 == store.remaining


def test_a_finished_job_is_history(store: JobStore) -> None:
    job_id = submit(store, extra={"extra_pnginfo": {"workflow": {}}})
    leases = Leases(store)
    job = leases.take().result()
    assert job is not None
    assert job.state is State.RUNNING
    assert job.attempts == 1
    leases.finish(job_id, ending()).result()
    assert store.remaining == 0
    (found,) = History(store).last(None, None)
    assert entry(found) == {
        "prompt": [1, job_id, PROMPT, {"extra_pnginfo": {"workflow": {}}}, ["1"]],
        "outputs": {"1": {"images": []}},
        "status": {"status_str": "success", "completed": True, "messages": [["execution_start", {}]]},
        "meta": {},
    }
    with pytest.raises(JobError, match=r"Expected job .* to be running here, but it is done"):
        leases.finish(job_id, ending()).result()


def test_a_dead_workers_job_is_queued_again_at_once(store: JobStore) -> None:
    job_id = submit(store)
    code = "from engine.jobs.leases import name_worker; print(name_worker())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert is_dead(dead)
    assert not is_dead(name_worker())
    assert Leases(store, dead).take().result() is not None
    assert Leases(store).requeue_orphans().result() == [job_id]
    job = Leases(store).take().result()
    assert job is not None
    assert job.id == job_id
    assert job.attempts == 2


def test_a_living_workers_job_is_left_alone_until_its_lease_runs_out(store: JobStore) -> None:
    job_id = submit(store)
    silent, other = Leases(store, lease_ms=50), Leases(store)
    silent.take().result()
    assert silent.beat(job_id).result()
    assert other.requeue_orphans().result() == []
    threading.Event().wait(0.08)
    assert other.requeue_orphans().result() == [job_id]
    assert not silent.beat(job_id).result()
    with pytest.raises(JobError):
        silent.finish(job_id, ending()).result()


def test_a_job_that_kills_its_workers_fails(store: JobStore) -> None:
    job_id = submit(store)
    for _ in range(ATTEMPTS):
        Leases(store, lease_ms=-1).take().result()
        Leases(store).requeue_orphans().result()
    job = store.get(job_id)
    assert job is not None
    assert job.state is State.FAILED
    assert job.error is not None
    assert f"died {ATTEMPTS} times" in str(job.error)
    assert store.remaining == 0 == store.recount()


def test_cancel_in_any_state(store: JobStore) -> None:
    leases = Leases(store)
    running, waiting = submit(store), submit(store)
    leases.take().result()
    assert store.cancel([running, waiting, "unknown"]).result() == [waiting, running]
    assert not leases.beat(running).result()
    leases.finish(running, ending(State.CANCELLED)).result()
    assert store.cancel([running, waiting]).result() == []
    assert store.remaining == 0
    assert [job.id for job in History(store).last(None, None)] == [running]


def test_pause_is_kept_and_stops_leases(url: str, store: JobStore) -> None:
    submit(store)
    store.pause(True).result()
    assert store.paused
    assert Leases(store).take().result() is None
    again = JobStore(open_database(url))
    assert again.paused
    again.pause(False).result()
    again.close()
    assert store.paused
    store.recount()
    assert Leases(store).take().result() is not None


def test_move_and_edit(store: JobStore) -> None:
    a, b, c = (submit(store, title=name) for name in "abc")

    def order() -> str:
        return "".join(job.title for job in store.queue()[1])

    move_job(store, c, "front").result()
    assert order() == "cab"
    move_job(store, c, "after", a).result()
    assert order() == "acb"
    move_job(store, b, "before", c).result()
    assert order() == "abc"
    move_job(store, a, "back").result()
    assert order() == "bca"
    changed = edit_job(store, b, {"prompt": {}, "title": "B", "priority": -1}).result()
    assert changed.prompt == {}
    assert order() == "caB"
    move_job(store, b, "front").result()
    assert order() == "Bca"
    Leases(store).take().result()
    with pytest.raises(JobError, match=r"Expected a queued job to edit, but .* is running"):
        edit_job(store, b, {"title": "x"}).result()


def test_users_take_turns(store: JobStore) -> None:
    for owner in ("ann", "ann", "ann", "bob", "cleo", "bob"):
        submit(store, owner=owner)
    leases = Leases(store)
    order = []
    while job := leases.take().result():
        order.append(job.owner)
        threading.Event().wait(0.002)
    assert order == ["ann", "bob", "cleo", "ann", "bob", "ann"]


def test_history_is_paged_searched_and_bounded(store: JobStore) -> None:
    leases, history = Leases(store), History(store)
    for n in range(10):
        submit(store, title=f"job {n}", owner="ann" if n % 2 else "bob", workflow_id="w" if n < 3 else None)
        job = leases.take().result()
        assert job is not None
        leases.finish(job.id, ending(State.FAILED if n == 4 else State.DONE)).result()
    titles = [job.title for job in history.last(3, None)]
    assert titles == ["job 7", "job 8", "job 9"]
    assert [job.title for job in history.last(2, 1)] == ["job 1", "job 2"]
    assert [job.title for job in history.last(2, None, "bob")] == ["job 6", "job 8"]
    page, total = history.page(Search(states=(State.FAILED,)), "created_at", True, 10, 0)
    assert total == 1
    assert page[0].title == "job 4"
    assert history.page(Search(text="JOB 7"), "created_at", True, 10, 0)[1] == 1
    assert history.page(Search(text="%"), "created_at", True, 10, 0)[1] == 0
    assert history.page(Search(workflow_id="w"), "execution_duration", False, 1, 0)[1] == 3
    assert len(history.trim(Bounds(max_jobs=4)).result()) == 6
    assert [job.title for job in history.last(None, None)] == ["job 6", "job 7", "job 8", "job 9"]
    assert len(history.delete(None, "ann").result()) == 2
    assert [job.title for job in history.last(None, None)] == ["job 6", "job 8"]


def test_a_log_goes_with_its_job(store: JobStore) -> None:
    job_id = submit(store)
    leases = Leases(store)
    leases.take().result()
    assert store.log_of(job_id) == []
    leases.finish(job_id, ending(), [(1, "a"), (2, "b")]).result()
    assert store.log_of(job_id) == [(1, "a"), (2, "b")]
    assert History(store).delete([job_id]).result() == [job_id]
    assert store.log_of(job_id) == []


def test_an_older_database_is_brought_up_to_date(url: str) -> None:
    engine = create_engine(url)
    upgrade(engine, "0001")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO users VALUES ('u', 'Ann', 'admin', NULL, 1)"))
    engine.dispose()
    store = JobStore(open_database(url))
    assert store.log_of(submit(store)) == []
    with store.reading() as connection:
        assert connection.execute(text("SELECT name FROM users")).scalar() == "Ann"
    store.close()


def test_the_migrations_make_the_tables_of_the_code(url: str) -> None:
    open_database(url).dispose()
    engine = create_engine(url.replace("jobs.db", "migrated.db"))
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == tables.VERSION
        names = set(inspect(connection).get_table_names())
    assert names == {*tables.metadata.tables, "alembic_version"}
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="newer than this program"):
        migrate(engine)


@pytest.mark.parametrize(
    ("url", "said"),
    [("nonsense", "no database URL"), ("mysql://a/b", "cannot be kept in mysql"), ("sqlite://", "needs a file")],
)
def test_a_database_that_cannot_be_used_says_what_to_give(url: str, said: str) -> None:
    with pytest.raises(DatabaseError, match=said):
        open_database(url)


def test_accounts_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from engine.commands import users
    from engine.settings import Settings

    def say(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        users.add_arguments(parser)
        return users.run(parser.parse_args(words), Settings(base_directory=tmp_path)), capsys.readouterr().out

    code, out = say("add", "ann", "--no-password")
    assert (code, "Added ann (admin)." in out, "loom_" in out) == (0, True, True)
    assert say("add", "ann", "--no-password")[0] == 2
    assert say("role", "ann")[0] == 2
    assert say("role", "ann", "--role", "viewer")[1] == "ann is viewer now.\n"
    assert say("list")[1].startswith("ann  viewer  ann_")
    assert "loom_" in say("token", "ann")[1]
    assert say("password", "ann", "--no-password")[0] == 0
    assert say("remove", "ann")[1] == "Removed ann.\n"
    assert say("remove", "ann")[0] == 2
