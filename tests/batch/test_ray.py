"""The same photos on a Ray cluster of two nodes, on this machine alone, one worker of which is killed at its work."""

import errno
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stylecine.batch import ray as cluster
from stylecine.batch.ray import RayPool
from stylecine.batch.tasks import Task, run, run_tasks
from stylecine.batch.worker import animate_task
from stylecine.engine.animator import Animator
from stylecine.errors import OptionError, WeightsNotFound
from stylecine.machine.workers import Job
from stylecine.version import __version__
from tests.ray_cluster import address as address
from tests.ray_cluster import on_loopback as on_loopback
from tests.ray_cluster import processes_at
from tests.tasks import PLAIN, three_tasks

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.usefixtures("on_loopback"),
]


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray, mask_file: Path, motion_file: Path) -> list[Task]:
    """Three small photos, the first with a longer loop."""
    options = {"mask": str(mask_file), "motion": str(motion_file), "seconds": 1.0}
    tasks = [replace(task, output=f"sub/{task.output}") for task in three_tasks(tmp_path, photo, options)]
    return [replace(tasks[0], options={**tasks[0].options, "seconds": 8.0}), *tasks[1:]]


def kill_one(killed: list[int]) -> None:
    end = time.monotonic() + 60
    while not killed and time.monotonic() < end:
        for found in processes_at("_Actor.animate", os.getpid())[:1]:
            os.kill(found, signal.SIGKILL)
            killed.append(found)
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("as_shipped")  # as the workers, which are processes of their own
def test_a_killed_worker_changes_nothing(address: str, photos: list[Task], tmp_path: Path, small_model: Path) -> None:
    """What is made there is what is made here, with a file that is none told in between."""
    (tmp_path / "d.png").write_text("no photo")
    tasks = [*photos, Task(tmp_path / "d.png", "d.mp4", PLAIN)]
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    killed: list[int] = []
    killer = threading.Thread(target=kill_one, args=(killed,))
    killer.start()

    def backend(left: Any) -> RayPool:
        return RayPool(address, left, None, out, str(small_model), "cpu")

    records = run(tasks, out, str(small_model), backend, lambda record: None)
    killer.join()
    assert len(killed) == 1
    assert {name: record["state"] for name, record in records.items()} == {
        "sub/a.mp4": "done",
        "sub/b.mp4": "done",
        "sub/c.mp4": "done",
        "d.mp4": "failed",
    }
    assert sorted(record["attempts"] for record in records.values()) == [1, 1, 1, 2]
    assert records["d.mp4"]["kind"] == "PhotoError" and records["d.mp4"]["photo"] == str(tmp_path / "d.png")

    animator = Animator.from_pretrained(small_model, "cpu")
    for task in photos:
        here = animate_task(animator, task, tmp_path / "here.mp4", str(small_model))
        there = records[task.output]
        assert there["frames_sha256"] == here["frames_sha256"] and there["digest"] == here["digest"]
        assert (out / task.output).stat().st_size == there["bytes"]
    assert {path.name for path in (out / "sub").iterdir()} == {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.slow
def test_errors_while_actors_load_end_the_run(address: str, photos: list[Task], tmp_path: Path) -> None:
    pool = RayPool(address, photos, 1, tmp_path, "no-such-model", "cpu")
    with pool, pytest.raises(WeightsNotFound, match="no-such-model"):
        next(run_tasks(photos, pool))


class Death(Exception):
    """What a fake Ray raises for an actor that has died."""


class FakeActor:
    """An actor whose methods return their own names as references."""

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *_: (name, id(self)))


def fake_ray(monkeypatch: pytest.MonkeyPatch, results: dict[str, Any], cores: float = 2.0) -> list[FakeActor]:
    """Replaces Ray; `results` by method: a value or an exception; what is missing is never done. Returns the actors."""
    actors: list[FakeActor] = []

    def start(*_: Any) -> FakeActor:
        actors.append(FakeActor())
        return actors[-1]

    def wait(references: list[Any], **_: Any) -> Any:
        done = [reference for reference in references if reference[0] in results][:1]
        time.sleep(0 if done else 0.001)
        return done, []

    def get(reference: Any) -> Any:
        if isinstance(results[reference[0]], Death):
            raise results[reference[0]]
        return results[reference[0]]

    fake = SimpleNamespace(
        cluster_resources=lambda: {"CPU": cores},
        remote=lambda **_: lambda _: SimpleNamespace(remote=start),
        wait=wait,
        get=get,
        shutdown=lambda: None,
        exceptions=SimpleNamespace(RayError=Death),
    )
    monkeypatch.setattr(cluster, "connect", lambda address: fake)
    return actors


def fake_pool(folder: Path) -> tuple[list[Task], RayPool]:
    tasks = [Task(folder / f"{number}.jpg", f"{number}.mp4", PLAIN) for number in range(2)]
    return tasks, RayPool("auto", tasks, None, folder, "small", "cpu")


def test_actors_that_die_while_loading_are_not_replaced_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actors = fake_ray(monkeypatch, {"version": __version__, "load": Death("The actor died.\nIts node says more.")})
    tasks, pool = fake_pool(tmp_path)
    with pool, pytest.raises(OptionError, match=r"die while they load the model \(The actor died\.\)"):
        next(run_tasks(tasks, pool))
    assert len(actors) == 4  # for two that were wanted


def test_a_cluster_without_room_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PLACEMENT_TIMEOUT", 0.01)
    fake_ray(monkeypatch, {})
    tasks, pool = fake_pool(tmp_path)
    with pool, pytest.raises(OptionError, match="no room"):
        next(run_tasks(tasks, pool))


def test_actors_may_take_long_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have room, however long it takes until the first of them is ready."""
    monkeypatch.setattr(cluster, "PLACEMENT_TIMEOUT", 0.01)
    results: dict[str, Any] = {"version": __version__}
    fake_ray(monkeypatch, results)
    tasks, pool = fake_pool(tmp_path)
    with pool:
        jobs = [pool.submit(Job(task)) for task in tasks]
        time.sleep(0.2)
        assert not any(job.done() for job in jobs)
        results |= {"load": None, "animate": ({"state": "failed"}, b"")}
        assert [job.result(30) for job in jobs] == 2 * [{"state": "failed"}]


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "DiskFull", "There is no space left to write"),
        (MemoryError("none left"), "internal", "MemoryError"),
    ],
    ids=str,
)
def test_a_loop_that_cannot_be_saved_fails_alone(
    error: Exception, kind: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, content: bytes) -> None:
        raise error

    monkeypatch.setattr(Path, "write_bytes", write)
    loaded = {"version": __version__, "load": None}
    fake_ray(monkeypatch, loaded | {"animate": ({"state": "done"}, b"loop")})
    tasks, pool = fake_pool(tmp_path)
    with pool:
        records = [record for _, record in run_tasks(tasks, pool)]
    assert [record["kind"] for record in records] == [kind, kind] and all(says in record["error"] for record in records)
    assert not any(tmp_path.iterdir())
