"""Many photos: what is done, what is done again, and what the workers' deaths change about it."""

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylecine.animator import Animator
from stylecine.batch.journal import Journal, Record
from stylecine.batch.local import Processes, _Worker, count_for
from stylecine.batch.tasks import Task, animate_one, run, run_tasks
from stylecine.errors import OutputError, TooLarge, WeightsNotFound
from stylecine.output.video import read_video
from tests.tasks import PLAIN, three_tasks


class Here:
    """A crew of one, in this process; `deaths` of what it is given die with it."""

    def __init__(self, animator: Animator, folder: Path, deaths: Sequence[str] = ()) -> None:
        self.animator, self.folder, self.deaths = animator, folder, list(deaths)
        self.task: Task | None = None
        self.given: list[str] = []

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def busy(self) -> bool:
        return self.task is not None

    @property
    def idle(self) -> bool:
        return not self.busy

    def give(self, task: Task) -> None:
        self.task = task
        self.given.append(task.output)

    def wait(self) -> list[tuple[Task, Record | None]]:
        task, self.task = self.task, None
        assert task is not None
        if task.output in self.deaths:
            self.deaths.remove(task.output)
            return [(task, None)]
        return [(task, animate_one(self.animator, task, self.folder / task.output, "small"))]


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray, mask_file: Path, motion_file: Path) -> list[Task]:
    return three_tasks(tmp_path, photo, {"mask": str(mask_file), "motion": str(motion_file)})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def done_by(tasks: Sequence[Task], out: Path, animator: Animator, deaths: Sequence[str] = ()) -> tuple[list[str], Any]:
    """What a run has given to its worker, and its records."""
    worker = Here(animator, out, deaths)
    records = run(tasks, out, "small", lambda left: worker, lambda record: None)
    return worker.given, records


def test_each_photo_gets_a_loop_and_a_record(photos: list[Task], out: Path, animator: Animator) -> None:
    given, records = done_by(photos, out, animator)
    assert given == list(records) == ["a.mp4", "b.mp4", "c.mp4"]
    assert {p.name for p in out.iterdir()} == {"a.mp4", "b.mp4", "c.mp4", "batch.jsonl"}
    record = records["a.mp4"]
    assert record["state"] == "done" and record["attempts"] == 1 and record["photo"] == str(photos[0].photo)
    assert record["frames"] == len(read_video(out / "a.mp4")[0]) == 6 and (record["width"], record["height"]) == (
        96,
        72,
    )
    assert record["bytes"] == (out / "a.mp4").stat().st_size
    assert record["static_drift"] == 0 and record["seam"] > 0 and 0.3 < record["moving"] < 0.5
    assert record["seconds"]["total"] >= record["seconds"]["video"] > 0
    assert json.loads((out / "batch.jsonl").read_text().splitlines()[0]) == record


def test_the_next_run_does_only_what_has_changed(photos: list[Task], out: Path, animator: Animator) -> None:
    done_by(photos, out, animator)
    assert done_by(photos, out, animator)[0] == []
    faster = [photos[0], replace(photos[1], options=photos[1].options | {"speed": 2.0}), photos[2]]
    assert done_by(faster, out, animator)[0] == ["b.mp4"]
    (out / "a.mp4").unlink()
    (out / "c.mp4").write_bytes(b"cut short")
    assert done_by(faster, out, animator)[0] == ["a.mp4", "c.mp4"]
    with Image.open(photos[0].photo) as picture:
        picture.rotate(180).save(photos[0].photo)
    assert done_by(faster, out, animator)[0] == ["a.mp4"]
    with Image.open(photos[0].options["mask"]) as mask:
        mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((0, 0, 90, 72)).save(photos[0].options["mask"])
    assert done_by(faster, out, animator)[0] == ["a.mp4", "b.mp4", "c.mp4"]


def test_failures_are_told_and_tried_again(photos: list[Task], out: Path, animator: Animator, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no photo")
    black = tmp_path / "black.png"
    Image.new("L", (96, 72)).save(black)
    tasks = [photos[0], replace(photos[1], options=photos[1].options | {"mask": str(black)}), photos[2]]
    _, records = done_by(tasks, out, animator)
    assert [(r["state"], r.get("kind")) for r in records.values()] == [
        ("failed", "PhotoError"),
        ("failed", "NothingMoves"),
        ("done", None),
    ]
    assert "a.png' is not an image" in records["a.mp4"]["error"] and not (out / "a.mp4").exists()
    assert done_by(tasks, out, animator)[0] == ["a.mp4", "b.mp4"]
    assert done_by(photos, out, animator)[0] == ["a.mp4", "b.mp4"]  # which has another mask now


def test_a_fault_of_ours_is_one_photos_trouble(photos: list[Task], out: Path, animator: Animator) -> None:
    out.mkdir()
    broken = replace(animator, segmenter=None)  # type: ignore[arg-type]
    record = animate_one(broken, photos[0], out / "a.mp4", "small")
    assert record["kind"] == "internal" and record["error"].startswith("Internal error: TypeError: ")
    assert not list(out.iterdir())


def test_a_task_whose_worker_dies_is_tried_three_times(photos: list[Task], out: Path, animator: Animator) -> None:
    given, records = done_by(photos, out, animator, deaths=["a.mp4", "b.mp4", "b.mp4", "b.mp4"])
    assert sorted(given) == ["a.mp4"] * 2 + ["b.mp4"] * 3 + ["c.mp4"]
    assert [records[name]["attempts"] for name in ("a.mp4", "b.mp4", "c.mp4")] == [2, 3, 1]
    assert records["a.mp4"]["state"] == "done" and records["b.mp4"]["kind"] == "TooLarge"


def test_several_workers_at_once() -> None:
    """Tasks are handed out while there is somebody idle, and records come in any order."""

    class Many:
        def __init__(self) -> None:
            self.tasks: list[Task] = []
            self.most = 0

        @property
        def idle(self) -> bool:
            return len(self.tasks) < 3

        @property
        def busy(self) -> bool:
            return bool(self.tasks)

        def give(self, task: Task) -> None:
            self.tasks.append(task)
            self.most = max(self.most, len(self.tasks))

        def wait(self) -> list[tuple[Task, Record | None]]:
            return [(self.tasks.pop(), {"state": "done"})]

    crew = Many()
    tasks = [Task(Path(f"{n}.jpg"), f"{n}.mp4", {}) for n in range(7)]
    assert {task.output for task, _ in run_tasks(tasks, crew)} == {task.output for task in tasks}
    assert crew.most == 3


# --- the journal


def test_a_line_that_was_cut_short_is_written_anew(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add({"output": "a.mp4", "state": "failed"})
        journal.add({"output": "a.mp4", "state": "done"})
    with (tmp_path / "batch.jsonl").open("ab") as file:
        file.write(b'nonsense\n[1]\n{"output": "a.mp4"}\n{"output": "b.mp4", "sta')
    with Journal(tmp_path) as journal:
        assert journal.records == {"a.mp4": {"output": "a.mp4", "state": "done"}}
        journal.add({"output": "c.mp4", "state": "done"})
    with Journal(tmp_path) as journal:
        assert list(journal.records) == ["a.mp4", "c.mp4"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(OutputError, match="Another run is at work"):
        Journal(tmp_path)
    Journal(tmp_path).__exit__()


# --- processes


def test_a_killed_process_is_replaced(photos: list[Task], out: Path, animator: Animator, small_model: Path) -> None:
    """Whoever makes the loops, and how often it is begun, the frames are the same."""

    class Killed(Processes):
        """The first worker that has something to do is killed."""

        killed = 0

        def wait(self) -> list[tuple[Task, Record | None]]:
            if not self.killed and self._workers[0].ready and self._workers[0].task:
                self.killed = self._workers[0].process.pid or 0
                os.kill(self.killed, signal.SIGKILL)
            return super().wait()

    long = [replace(photos[0], options=photos[0].options | {"seconds": 4}), photos[1]]
    made = run(long, out, "small", lambda left: Killed(1, out, str(small_model), ["cpu"]), lambda record: None)
    assert {p.name for p in out.iterdir()} == {"a.mp4", "b.mp4", "batch.jsonl"}
    _, here = done_by(long, out.with_name("here"), animator)
    for name in made:
        assert made[name]["state"] == "done" and made[name]["frames_sha256"] == here[name]["frames_sha256"]
    assert sorted(record["attempts"] for record in made.values()) == [1, 2]


class Played:
    """A worker's process that says what it is told to and then ends."""

    exitcode = -9

    def __init__(self, pipe: Any, *says: Any) -> None:
        for message in says:
            pipe.send(message)
        pipe.close()

    def join(self, seconds: float | None = None) -> None:
        pass

    terminate = kill = join


def crew_of(*lives: Sequence[Any]) -> Processes:
    """Workers that say these things, the first of them there from the beginning."""
    left = list(lives)

    class Few(Processes):
        def _started(self) -> Any:
            ours, theirs = Pipe()
            return _Worker(Played(theirs, *left.pop(0)), ours)  # type: ignore[arg-type]

    return Few(2, Path(), "small", ["cpu"])


def test_without_memory_for_all_workers_the_others_go_on() -> None:
    done: Record = {"state": "done"}
    tasks = [Task(Path(f"{n}.jpg"), f"{n}.mp4", {}) for n in range(3)]
    with crew_of([], [None, done, done, done]) as crew:
        assert [record for _, record in run_tasks(tasks, crew)] == [done | {"attempts": n} for n in (1, 1, 2)]
    with crew_of([], [None], []) as crew, pytest.raises(TooLarge, match="exit code -9"):
        list(run_tasks(tasks, crew))


def test_what_was_found_beside_a_failure_is_told_first() -> None:
    done: Record = {"state": "done"}
    tasks = [Task(Path(f"{n}.jpg"), f"{n}.mp4", {}) for n in range(3)]
    failure = WeightsNotFound("There are none.")
    for lives in ([[done], [failure]], [[failure], [done]]):  # whoever of them is heard first
        told = []
        with crew_of(*lives, []) as crew, pytest.raises(WeightsNotFound, match="none"):
            for _, record in run_tasks(tasks, crew):
                told.append(record["state"])
        assert told == ["done"]


def test_what_keeps_processes_from_loading_ends_the_run(photos: list[Task], out: Path) -> None:
    with pytest.raises(WeightsNotFound, match="no-such-model"):
        run(photos, out, "small", lambda left: Processes(1, out, "no-such-model", ["cpu"]), lambda record: None)


def test_as_many_processes_as_memory_lasts_for(photos: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylecine.batch.local.cores", lambda: 8)
    monkeypatch.setattr("stylecine.batch.local.available_bytes", lambda device: 4e9)
    assert count_for(photos, ["cpu"]) == 2  # at 1024x1536 each takes 1.6 GB
    assert count_for([replace(task, options=PLAIN | {"size": 64}) for task in photos], ["cpu"]) == 3
    assert count_for([replace(task, options=PLAIN | {"size": None}) for task in photos], ["cpu"]) == 1
