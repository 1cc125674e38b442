"""The state file: what it keeps, what it refuses, and that kill -9 leaves old or new, never torn."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from geodns.core.health import Health, Verdict
from geodns.core.overrides import Override
from geodns.core.plans import Plan
from geodns.core.returns import FAILBACK
from geodns.core.slopes import down
from geodns.errors import StoreError
from geodns.store import state
from geodns.store.state import Store

ROOT = Path(__file__).parents[1]
PAUSE = Override("pause", "cn-south", "fibre cut", "ops", 1000.0, 2800.0)

FIRST = """
CREATE TABLE overrides (
    kind TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL,
    since REAL NOT NULL, until REAL, PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
PRAGMA application_id = 0x67656F64;
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "geodns.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def again(store: Store) -> Store:
    """The same file opened as after a restart."""
    store.close()
    return Store(store.path)


def test_overrides_are_kept_replaced_and_dropped(path: Path) -> None:
    store = Store(path)
    other = Override("pause", "eu-west", "", "ops", 1.0, None)
    store.change_overrides([PAUSE, other], [])
    store.change_overrides([replace(PAUSE, reason="worse than thought")], [])
    store = again(store)
    assert store.overrides() == [replace(PAUSE, reason="worse than thought"), other]
    store.change_overrides([], [("pause", "cn-south"), ("pause", "of-nobody")])
    store = again(store)
    assert store.overrides() == [other]
    store.close()


def test_overrides_change_together_or_not_at_all(store: Store) -> None:
    weight = Override("weight", "cn-south:web:gz-1", "less", "ops", 1.0, None, 7)
    store.change_overrides([PAUSE], [])
    with pytest.raises(StoreError, match="the reason is longer than 1000"):
        store.change_overrides([weight, replace(PAUSE, reason="x" * 1001)], [("pause", "cn-south")])
    assert store.overrides() == [PAUSE]
    store.change_overrides([weight], [("pause", "cn-south")])
    assert store.overrides() == [weight]


def test_a_drain_is_kept_with_its_course(path: Path) -> None:
    store = Store(path)
    drain = Override("drain", "cn-south", "less", "ops", 1.0, None, 80, down(120, 15))
    store.change_overrides([drain], [])
    store = again(store)
    assert store.overrides() == [drain]
    store.close()


def test_what_failures_leave_behind_takes_no_operators_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_OVERRIDES", 1)
    monkeypatch.setattr(state, "MAX_RETURNS", 3)
    held = [Override("hold", f"r{n}", "it failed", FAILBACK, 1.0) for n in range(2)]
    store.change_overrides([*held, PAUSE], [])
    with pytest.raises(StoreError, match="3 overrides already"):
        store.change_overrides([replace(held[0], subject="r3")], [])
    with pytest.raises(StoreError, match="1 overrides already"):
        store.change_overrides([replace(PAUSE, subject="other")], [])


def test_plans_are_kept_advanced_and_dropped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_PLANS", 2)
    store = Store(path)
    once = Plan("drain", "cn-south", "less", "ops", 2.0, None, 0, 600.0)
    weekly = Plan(
        "pause", "eu-west", "backup", "ops", 1.0, 60.0, every="0 3 * * 6", overrule=("at-least:web",)
    )
    store.change_overrides([], [], (), {plan.id: plan for plan in (once, weekly)})
    store = again(store)
    assert store.plans() == [weekly, once]
    later = replace(weekly, begins=3.0)
    store.change_overrides([], [], (), {once.id: once, weekly.id: later})
    assert store.plans() == [once, later]
    third = replace(once, subject="third")
    with pytest.raises(StoreError, match="2 overrides are planned already: drop some first"):
        store.change_overrides([], [], (), {third.id: third})
    with pytest.raises(StoreError, match="the reason is longer"):
        store.change_overrides([], [], (), {once.id: replace(once, reason="x" * 1001)})
    store.change_overrides([], [], (), {once.id: None, "unknown": None})
    assert store.plans() == [later]
    store.close()


def test_a_file_of_the_first_schema_is_taken_up(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript(FIRST)
        db.execute("INSERT INTO overrides VALUES ('pause', 'cn-south', 'fibre cut', 'ops', 1000.0, 2800.0)")
    store = Store(path)
    assert store.overrides() == [PAUSE]
    store.change_overrides([Override("weight", "cn-south", "less", "ops", 1.0, None, 40)], [])
    store = again(store)
    assert [o.value for o in store.overrides()] == [0, 40]
    store.close()


def test_verdicts_are_remembered_unless_old_or_unknown(path: Path) -> None:
    store = Store(path)
    up, down = Health(Verdict.UP, 1.0, 0.0, "1 of 1: ok"), Health(Verdict.DOWN, 2.0, 0.0, "3 of 3: refused")
    store.save_verdicts({"a": up, "b": down, "c": Health()}, now=100.0)
    store.save_verdicts({"a": replace(up, doubt_until=205.0)}, now=200.0)
    store = again(store)
    assert store.verdicts(max_age=1000.0, now=210.0) == {"a": up, "b": down}
    assert store.verdicts(max_age=50.0, now=210.0) == {"a": up}
    store.close()


def test_a_serial_rises_when_the_content_changes_and_only_then(path: Path) -> None:
    store = Store(path)
    assert store.serial("example.com.", "v1", now=1000.9) == 1000
    assert store.serial("example.com.", "v1", now=2000.0) == 1000
    store = again(store)
    assert store.serial("example.com.", "v1", now=3000.0) == 1000
    assert store.serial("example.com.", "v2", now=3000.0) == 3000
    assert store.serial("example.com.", "v3", now=3000.0) == 3001  # twice in one second
    assert store.serial("example.com.", "v4", now=10.0) == 3002  # the clock was set back
    assert store.serials({"example.com.": "v5", "example.net.": "v1"}, now=4000.0) == {
        "example.com.": 4000,
        "example.net.": 4000,
    }
    store.close()


def test_a_serial_that_the_disk_does_not_take_is_told_all_the_same_and_not_kept(store: Store) -> None:
    store.serial("example.com.", "v1", now=1000.0)
    wanted = {"example.com.": "v2", "example.net.": "v1"}
    assert store.serials(wanted, 2000.0, keep=False) == {"example.com.": 2000, "example.net.": 2000}
    assert store.serials(wanted, 3000.0, keep=False) == {"example.com.": 3000, "example.net.": 3000}
    assert store.serial("example.com.", "v1", now=4000.0) == 1000


@pytest.mark.parametrize(
    ("old", "now", "new"),
    [
        (2**32 - 1, 2**32 - 1, 0),  # RFC 1982 §3.1: addition wraps
        (2**32 - 5, 2**32 + 7.0, 7),  # the clock wraps (in 2106) and is ahead all the same
        (3_000_000_000, 1_000_000_000, 3_000_000_001),  # a clock that is behind is not followed
        (100, 100 + 2**31, 101),  # exactly half the circle away is not ahead
    ],
)
def test_serials_on_the_circle(store: Store, old: int, now: float, new: int) -> None:
    store.serial("example.com.", "v1", float(old))
    assert store.serial("example.com.", "v2", now) == new


def test_folder_and_files_are_private(store: Store) -> None:
    store.change_overrides([PAUSE], [])
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    files = list(store.path.parent.iterdir())
    assert len(files) >= 2
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    Store(path).close()
    path.chmod(0o644)
    Store(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_server_is_refused_and_told_who_is_first(store: Store) -> None:
    with pytest.raises(
        StoreError, match=rf"in use by another geodns \(process {os.getpid()}\): stop that one"
    ):
        Store(store.path)
    store = again(store)  # and may have it afterwards
    store.close()


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a text file\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_broken_file_is_one_line_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="move it away and start again") as told:
        Store(path)
    assert "\n" not in str(told.value)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE overrides (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="a database of another program"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_from_the_future(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="written by a newer geodns"):
        Store(path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot keep state in"):
        Store(tmp_path / "file" / "geodns.db")
    with pytest.raises(StoreError, match="cannot write the state file"):
        (tmp_path / "geodns.db").mkdir()
        Store(tmp_path / "geodns.db")


def test_a_full_disk_is_told_as_such_and_over_when_there_is_room(store: Store) -> None:
    store.change_overrides([PAUSE], [])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite does then is what ENOSPC makes it do
    with pytest.raises(StoreError, match="disk is full") as told:
        store.save_verdicts({f"probe-{n}": Health(Verdict.UP, reason="x" * 500) for n in range(100)}, 1.0)
    assert told.value.full
    assert store.verdicts(10.0, 1.0) == {}
    assert store.overrides() == [PAUSE]
    store._db.execute("PRAGMA max_page_count = 100000")
    store.save_verdicts({"a": Health(Verdict.UP)}, 1.0)
    assert set(store.verdicts(10.0, 1.0)) == {"a"}


def test_everything_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_ROWS", 3)
    monkeypatch.setattr(state, "MAX_OVERRIDES", 2)
    for n in range(5):
        store.save_verdicts({f"probe-{n}": Health(Verdict.UP)}, now=float(n))
    assert set(store.verdicts(100.0, 5.0)) == {"probe-2", "probe-3", "probe-4"}
    assert store.dropped == 2
    for region in ("a", "b"):
        store.change_overrides([replace(PAUSE, subject=region)], [])
    with pytest.raises(StoreError, match="2 overrides already") as told:
        store.change_overrides([replace(PAUSE, subject="c")], [])
    assert told.value.full
    with pytest.raises(StoreError, match="the reason is longer than 1000 characters"):
        store.change_overrides([replace(PAUSE, reason="x" * 1001)], [])
    assert [o.subject for o in store.overrides()] == ["a", "b"]


def test_threads_may_share_it(store: Store) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for n in range(20):
                store.change_overrides([replace(PAUSE, subject=f"{name}-{n}")], [])
                store.overrides()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store.overrides()) == 80


def test_kill_9_leaves_the_old_state_or_the_new(path: Path) -> None:
    """Overrides, their rows in the audit and verdicts, written by a process that is killed at any moment."""
    script = [sys.executable, "-m", "tests.kills", str(path), "--n", os.environ.get("KILLS", "100")]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "none torn" in done.stdout
