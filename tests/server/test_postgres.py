"""The job store's own tests once more, on a real PostgreSQL server; and a server process on it."""

import getpass
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from engine.jobs.accounts import Accounts
from engine.jobs.assets import Assets, Filter, new_asset
from engine.jobs.database import migrate, open_database
from engine.jobs.store import JobStore
from tests.server.conftest import chain
from tests.server.process import Process, free_port
from tests.server.test_jobs import (  # noqa: F401
    test_a_dead_workers_job_is_queued_again_at_once,
    test_a_finished_job_is_history,
    test_a_job_survives_the_store,
    test_a_job_that_kills_its_workers_fails,
    test_a_lease_is_given_once,
    test_a_log_goes_with_its_job,
    test_an_id_is_used_once,
    test_cancel_in_any_state,
    test_history_is_paged_searched_and_bounded,
    test_move_and_edit,
    test_one_failing_change_fails_alone,
    test_order_is_priority_then_number_then_age,
    test_pause_is_kept_and_stops_leases,
    test_the_same_idempotency_key_gives_the_same_job,
    test_users_take_turns,
)

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed (Debian: apt-get install postgresql)"),
]


def as_postgres(*words: str) -> None:
    """Run a program of PostgreSQL's, which will not run as root."""
    user = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    subprocess.run([*user, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A PostgreSQL server of our own on a socket; the beginning of its URLs."""
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="loom-postgres-"))
    if getpass.getuser() == "root":
        shutil.chown(folder, "postgres")
    port = free_port()
    as_postgres(str(PROGRAMS[-1] / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "loom", "--no-sync", "-E", "UTF8")
    options = f"-p {port} -k {folder} -c listen_addresses='' -c fsync=off"
    control = str(PROGRAMS[-1] / "pg_ctl")
    as_postgres(control, "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg://loom@/{{name}}?host={folder}&port={port}"
    finally:
        as_postgres(control, "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(cluster: str, request: Any) -> str:
    name = f"t{abs(hash(request.node.nodeid))}"
    engine = create_engine(cluster.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return cluster.format(name=name)


@pytest.fixture
def store(url: str) -> Iterator[JobStore]:
    found = JobStore(open_database(url))
    yield found
    found.close()


def test_the_tables_are_made_once(url: str) -> None:
    open_database(url).dispose()
    engine = open_database(url)
    migrate(engine)
    engine.dispose()


def test_users_and_assets(store: JobStore) -> None:
    accounts, assets = Accounts(store), Assets(store)
    account = accounts.add("Ännchen", "viewer", "secret")
    assert accounts.login("ännchen", "secret") is not None
    assert accounts.holder(accounts.issue(account.id)) == account
    assert accounts.drop_expired().result() is None
    asset = assets.add(new_asset(account.id, "a%_b", "blake3:1", "input", "a.png", "image/png", 3, ["x", "y"]))
    assert assets.page(Filter(tags_all=["x"], tags_none=["z"], name_contains="%_"))[0] == [asset]
    assert assets.tags(account.id) == ([("x", 1), ("y", 1)], 2)
    accounts.remove(account.id)
    assert accounts.list() == []


def test_a_server_on_it(url: str, tmp_path: Path) -> None:
    process = Process(tmp_path, "--database-url", url)
    process.start()
    try:
        prompt_id = process.post("/prompt", {"prompt": chain()})["prompt_id"]
        while not process.get(f"/history/{prompt_id}"):
            pass
        process.end()
        process.start()
        assert process.get(f"/history/{prompt_id}")[prompt_id]["outputs"] == {"3": {"text": ["2"]}}
    finally:
        process.end()
