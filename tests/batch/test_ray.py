"""The same photos on a Ray cluster of two nodes, on this machine alone, one worker of which is killed at its work."""

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stylecine.animator import Animator
from stylecine.batch import ray as cluster
from stylecine.batch.ray import Actors
from stylecine.batch.tasks import Task, animate_one, run
from stylecine.errors import OptionError, WeightsNotFound
from tests.tasks import PLAIN, three_tasks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

HERE = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 80_000_000, "include_log_monitor": False}
HEAD = HERE | {"include_dashboard": False, "no_monitor": True}


@pytest.fixture(scope="module", autouse=True)
def _loopback() -> Iterator[None]:
    """Ray told, before it is imported, to stay on loopback, and to start no worker before it has something to do."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is an extra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # which on Linux is to say that
        patch.setenv("RAY_enable_worker_prestart", "0")
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        yield


@pytest.fixture(scope="module")
def address(_loopback: None) -> Iterator[str]:
    """Of a cluster of two nodes of one core each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=HEAD)
    nodes.add_node(**HERE)
    yield nodes.address
    nodes.shutdown()


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray, mask_file: Path, motion_file: Path) -> list[Task]:
    """Three small photos, the first with a longer loop."""
    options = {"mask": str(mask_file), "motion": str(motion_file), "seconds": 1.0}
    tasks = [replace(task, output=f"sub/{task.output}") for task in three_tasks(tmp_path, photo, options)]
    return [replace(tasks[0], options={**tasks[0].options, "seconds": 8.0}), *tasks[1:]]


def children(parent: int) -> list[int]:
    """All processes below one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    below, found = {parent}, True
    while found:
        found = {child for child, its in parents.items() if its in below} - below
        below |= found
    return sorted(below - {parent})


def at_work() -> int | None:
    """The process of an actor that is animating."""
    for child in children(os.getpid()):
        try:
            if b"_Animating.animate" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        except OSError:
            continue
    return None


def kill_one(killed: list[int]) -> None:
    end = time.monotonic() + 60
    while not killed and time.monotonic() < end:
        if (found := at_work()) is not None:
            os.kill(found, signal.SIGKILL)
            killed.append(found)
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(address: str, photos: list[Task], tmp_path: Path, small_model: Path) -> None:
    """What is made there is what is made here, with a file that is none told in between."""
    (tmp_path / "d.png").write_text("no photo")
    tasks = [*photos, Task(tmp_path / "d.png", "d.mp4", PLAIN)]
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    killed: list[int] = []
    killer = threading.Thread(target=kill_one, args=(killed,))
    killer.start()

    def crew(left: Any) -> Actors:
        return Actors(address, left, None, out, str(small_model), "cpu")

    records = run(tasks, out, "small", crew, lambda record: None)
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
        here = animate_one(animator, task, tmp_path / "here.mp4", str(small_model))
        there = records[task.output]
        assert there["frames_sha256"] == here["frames_sha256"] and there["digest"] == here["digest"]
        assert (out / task.output).stat().st_size == there["bytes"]
    assert {path.name for path in (out / "sub").iterdir()} == {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.slow
def test_what_keeps_actors_from_loading_ends_the_run(address: str, photos: list[Task], tmp_path: Path) -> None:
    with Actors(address, photos, 1, tmp_path, "no-such-model", "cpu") as crew:
        assert not crew.idle and not crew.busy
        with pytest.raises(WeightsNotFound, match="no-such-model"):
            while True:
                crew.wait()


def test_actors_that_die_while_they_load_are_not_begun_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(Exception):
        pass

    begun: list[object] = []

    def load() -> object:
        begun.append(object())
        return begun[-1]

    def get(owed: object) -> None:
        raise Death("The actor died.\nIts node says more.")

    actor = SimpleNamespace(load=SimpleNamespace(remote=load))
    fake = SimpleNamespace(
        cluster_resources=lambda: {"CPU": 2.0},
        remote=lambda **_: lambda _: SimpleNamespace(remote=lambda *_: actor),
        wait=lambda owed, **_: (owed[:1], owed[1:]),
        get=get,
        exceptions=SimpleNamespace(RayError=Death),
    )
    monkeypatch.setattr(cluster, "_connected", lambda address: fake)
    tasks = [Task(tmp_path / f"{n}.jpg", f"{n}.mp4", PLAIN) for n in range(2)]
    crew = Actors("auto", tasks, None, tmp_path, "small", "cpu")
    with pytest.raises(OptionError, match=r"end while they load the model \(The actor died\.\)"):
        while True:
            assert crew.wait() == []
    assert len(begun) == 4  # for two that were wanted


def test_no_cluster_is_told(photos: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        free = f"127.0.0.1:{busy.getsockname()[1]}"
    with pytest.raises(OptionError, match=f"There is no Ray cluster at '{free}'"):
        Actors(free, photos, 1, tmp_path, "default", "cpu")
    with pytest.raises(OptionError, match="There is no Ray cluster at 'nonsense'"):
        Actors("nonsense", photos, 1, tmp_path, "default", "cpu")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"pip install 'stylecine\[ray\]'"):
        Actors("auto", photos, 1, tmp_path, "default", "cpu")


def test_nodes_have_the_same_version() -> None:
    with pytest.raises(OptionError, match=r"has stylecine 0\.0, and here is"):
        cluster._check("0.0")
