"""Many photos: what is done, what is done again, and what the deaths of workers change about it."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylecine.batch.journal import Journal
from stylecine.batch.local import LocalPool, count_for
from stylecine.batch.tasks import Task, run, run_tasks, weights_of
from stylecine.batch.worker import animate_task
from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.errors import DiskFull, OutputError, WeightsNotFound
from stylecine.machine import workers
from stylecine.machine.workers import Job, WorkerLost
from stylecine.output.video import read_video
from tests.cloths import flag_mask, flag_photo, with_stand_ins
from tests.tasks import PLAIN, three_tasks


class Here:
    """A backend in this process; those of `deaths` die with every attempt."""

    def __init__(self, animator: Animator, folder: Path, model: str, deaths: Sequence[str] = ()) -> None:
        self.animator, self.folder, self.model, self.deaths = animator, folder, model, deaths
        self.outputs: list[str] = []

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, job: Job) -> Job:
        task = job.request
        self.outputs.append(task.output)
        job.attempts = 3 if task.output in self.deaths else 1
        if task.output in self.deaths:
            job.set_exception(WorkerLost())
        else:
            job.set_result(animate_task(self.animator, task, self.folder / task.output, self.model))
        return job


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray, mask_file: Path, motion_file: Path) -> list[Task]:
    return three_tasks(tmp_path, photo, {"mask": str(mask_file), "motion": str(motion_file)})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def model(small_model: Path, tmp_path: Path) -> str:
    """A copy of the small model, to be changed."""
    weights_of.cache_clear()
    return str(shutil.copytree(small_model, tmp_path / "model"))


def run_here(
    tasks: Sequence[Task], out: Path, animator: Animator, model: str, deaths: Sequence[str] = ()
) -> tuple[list[str], Any]:
    """The outputs that a run has made, and its records."""
    backend = Here(animator, out, model, deaths)
    records = run(tasks, out, model, lambda left: backend, lambda record: None)
    return backend.outputs, records


def test_each_photo_gets_a_loop_and_a_record(photos: list[Task], out: Path, animator: Animator, model: str) -> None:
    given, records = run_here(photos, out, animator, model)
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


def test_the_next_run_processes_only_changed_photos(
    photos: list[Task], out: Path, animator: Animator, model: str
) -> None:
    run_here(photos, out, animator, model)
    assert run_here(photos, out, animator, model)[0] == []
    faster = [photos[0], replace(photos[1], options=photos[1].options | {"speed": 2.0}), photos[2]]
    assert run_here(faster, out, animator, model)[0] == ["b.mp4"]
    (out / "a.mp4").unlink()
    (out / "c.mp4").write_bytes(b"cut short")
    assert run_here(faster, out, animator, model)[0] == ["a.mp4", "c.mp4"]
    with Image.open(photos[0].photo) as picture:
        picture.rotate(180).save(photos[0].photo)
    assert run_here(faster, out, animator, model)[0] == ["a.mp4"]
    with Image.open(photos[0].options["mask"]) as mask:
        mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((0, 0, 90, 72)).save(photos[0].options["mask"])
    assert run_here(faster, out, animator, model)[0] == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_styles_photo_is_one_of_the_files(
    photos: list[Task], out: Path, animator: Animator, model: str, tmp_path: Path, photo: np.ndarray
) -> None:
    Image.fromarray(photo[:, ::-1]).save(tmp_path / "look.png")
    plain, drifting, other = (
        replace(task, options=task.options | options)
        for task, options in zip(
            photos,
            ({}, {"style": "night", "style_drift": True}, {"style": str(tmp_path / "look.png"), "style_strength": 0.5}),
            strict=True,
        )
    )
    _, records = run_here([plain, drifting, other], out, animator, model)
    assert [record["state"] for record in records.values()] == ["done"] * 3
    assert run_here([plain, drifting, other], out, animator, model)[0] == []
    Image.fromarray(photo[::-1]).save(tmp_path / "look.png")
    assert run_here([plain, drifting, other], out, animator, model)[0] == ["c.mp4"]


def test_failures_are_reported_and_retried(
    photos: list[Task], out: Path, animator: Animator, tmp_path: Path, model: str
) -> None:
    (tmp_path / "a.png").write_text("no photo")
    black = tmp_path / "black.png"
    Image.new("L", (96, 72)).save(black)
    tasks = [photos[0], replace(photos[1], options=photos[1].options | {"mask": str(black)}), photos[2]]
    _, records = run_here(tasks, out, animator, model)
    assert [(r["state"], r.get("kind")) for r in records.values()] == [
        ("failed", "PhotoError"),
        ("failed", "NothingMoves"),
        ("done", None),
    ]
    assert "a.png' cannot be read as an image" in records["a.mp4"]["error"] and not (out / "a.mp4").exists()
    assert run_here(tasks, out, animator, model)[0] == ["a.mp4", "b.mp4"]
    assert run_here(photos, out, animator, model)[0] == ["a.mp4", "b.mp4"]  # which has another mask now


def test_a_photo_too_large_for_the_format_fails_before_the_work(
    photos: list[Task], out: Path, animator: Animator, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (16400, 80)).save(photos[0].photo)
    monkeypatch.setattr(Animator, "scene_for", lambda *_, **__: pytest.fail("work was done"))
    task = replace(photos[0], output="a.webp", options=photos[0].options | {"size": None})
    _, records = run_here([task], out, animator, model)
    assert records["a.webp"]["kind"] == "TooLarge" and "ask for size 79" in records["a.webp"]["error"]


def test_an_internal_error_fails_only_its_photo(photos: list[Task], out: Path, animator: Animator, model: str) -> None:
    out.mkdir()
    broken = with_stand_ins(animator, eye=None)
    record = animate_task(broken, photos[0], out / "a.mp4", model)
    assert record["kind"] == "internal" and record["error"].startswith("Internal error: TypeError: ")
    assert not list(out.iterdir())


def test_a_full_disk_ends_the_batch(
    photos: list[Task], out: Path, animator: Animator, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other photo would be inverted and rendered in vain."""
    saved: list[Path] = []

    def save(self: Cinemagraph, path: Path, **others: Any) -> None:
        saved.append(path)
        raise DiskFull("Cannot write a.mp4: No space left on device.")

    monkeypatch.setattr(Cinemagraph, "save", save)
    with pytest.raises(DiskFull, match="No space left"):
        run_here(photos, out, animator, model)
    assert len(saved) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
@pytest.mark.parametrize("name", ["photo", "mask"])
def test_pipes_that_a_manifest_names_are_not_read(
    photos: list[Task], out: Path, animator: Animator, model: str, tmp_path: Path, name: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = tmp_path / "pipe"
    changed = {"photo": pipe} if name == "photo" else {"options": photos[0].options | {"mask": str(pipe)}}
    outputs, records = run_here([replace(photos[0], **changed), photos[1]], out, animator, model)
    assert outputs == ["b.mp4"] and records["b.mp4"]["state"] == "done"
    assert records["a.mp4"]["error"] == f"'{pipe}' is not a regular file; name another one."


def test_a_task_whose_worker_keeps_dying_fails(photos: list[Task], out: Path, animator: Animator, model: str) -> None:
    _, records = run_here(photos, out, animator, model, deaths=["b.mp4"])
    assert [record["attempts"] for record in records.values()] == [1, 3, 1]
    assert [record["state"] for record in records.values()] == ["done", "failed", "done"]
    assert records["b.mp4"]["kind"] == "TooLarge" and "smaller size" in records["b.mp4"]["error"]


def test_changed_weights_and_other_versions_are_not_done(
    photos: list[Task], out: Path, animator: Animator, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = photos[:1]
    run_here(photos, out, animator, model)
    with (Path(model) / "eye.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    weights_of.cache_clear()
    assert run_here(photos, out, animator, model)[0] == ["a.mp4"]
    assert run_here(photos, out, animator, model)[0] == []
    monkeypatch.setattr("stylecine.batch.tasks.__version__", "0.0.1")
    assert run_here(photos, out, animator, model)[0] == ["a.mp4"]


def test_results_of_another_machine_count_without_the_model(
    photos: list[Task], out: Path, animator: Animator, model: str
) -> None:
    """As with a Ray cluster whose nodes alone have the model."""
    run_here(photos, out, animator, model)
    Path(model).rename(out / "gone")
    weights_of.cache_clear()
    assert run_here(photos, out, animator, model)[0] == []


def test_cloth_is_measured_as_cloth(animator: Animator, model: str, tmp_path: Path) -> None:
    """It does not flow, so it has no travel."""
    Image.fromarray(flag_photo()).save(tmp_path / "flag.png")
    Image.fromarray(np.uint8(flag_mask()) * 255).save(tmp_path / "mask.png")
    options = PLAIN | {"subject": "cloth", "mask": str(tmp_path / "mask.png"), "seconds": 2.0, "fps": 8}
    task = Task(tmp_path / "flag.png", "flag.mp4", options)
    record = animate_task(with_stand_ins(animator), task, tmp_path / "flag.mp4", model)
    assert record["state"] == "done" and record["moving"] > 0
    assert record["travel"] is None and record["moved_error"] is None


# --- the journal


def test_a_truncated_line_is_rewritten(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add({"output": "a.mp4", "state": "failed"})
        journal.add({"output": "a.mp4", "state": "failed", "attempts": 2})
    with (tmp_path / "batch.jsonl").open("ab") as file:
        file.write(b'nonsense\n[1]\n{"output": "a.mp4"}\n{"output": "b.mp4", "sta')
    with Journal(tmp_path) as journal:
        assert journal.records == {"a.mp4": {"output": "a.mp4", "state": "failed", "attempts": 2}}
        journal.add({"output": "c.mp4", "state": "failed"})
    with Journal(tmp_path) as journal:
        assert list(journal.records) == ["a.mp4", "c.mp4"]


SCRIPT = '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    "changes",
    [
        *({name: SCRIPT} for name in ("thumbnail", "mask_thumbnail", "width", "height", "frames", "seam", "seconds")),
        {"bytes": True},
        {"fps": 10**400},
        {"moving": float("nan")},
        {"travel": float("inf")},
        {"anything": float("nan")},
        {"warning": ["a", "list"]},
        {"photo": None},
        {"seconds": {}},
        {"seconds": {"total": None}},
    ],
    ids="".join,
)
def test_a_record_that_no_run_wrote_is_not_done(
    record: dict[str, Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    for told, kept in ((record, True), (record | changes, False), (record, True)):
        (tmp_path / "batch.jsonl").write_text(json.dumps(told) + "\n")
        with Journal(tmp_path) as journal:
            assert list(journal.records) == ["a.mp4"] * kept
    for name in changes.keys() & record.keys():
        (tmp_path / "batch.jsonl").write_text(json.dumps({k: v for k, v in record.items() if k != name}) + "\n")
        with Journal(tmp_path) as journal:
            assert not journal.records


def test_a_nested_line_is_not_a_record(tmp_path: Path) -> None:
    (tmp_path / "batch.jsonl").write_bytes(100_000 * b"[" + b"\n")
    with Journal(tmp_path) as journal:
        assert not journal.records


@pytest.fixture(scope="module")
def record(photo: np.ndarray, small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The line of a finished photo."""
    folder = tmp_path_factory.mktemp("one")
    given = {"mask": None, "arrows": [(0.5, 0.5, 0.6, 0.5)]}
    task = three_tasks(folder, photo, given)[0]
    run_here([task], folder, Animator.from_pretrained(small_model, "cpu"), str(small_model))
    return dict(json.loads((folder / "batch.jsonl").read_text()))


def test_a_record_names_the_photo_of_this_run(photos: list[Task], out: Path, animator: Animator, model: str) -> None:
    """And not a path that a stranger wrote into the journal, which the report would show."""
    run_here(photos[:1], out, animator, model)
    path = out / "batch.jsonl"
    path.write_text(path.read_text().replace(str(photos[0].photo), "elsewhere.png"))
    made, records = run_here(photos[:1], out, animator, model)
    assert made == [] and records["a.mp4"]["photo"] == str(photos[0].photo)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(OutputError, match="Another run is using"):
        Journal(tmp_path)
    Journal(tmp_path).__exit__()


# --- processes


@pytest.mark.slow
def test_a_killed_process_is_replaced(
    photos: list[Task], out: Path, animator: Animator, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames do not depend on where they were made, or at which attempt."""
    take, killed = workers._Worker.take, []

    def take_and_die(worker: Any, job: Job) -> None:
        take(worker, job)
        if not killed:
            killed.append(job.request.output)
            worker.kill()

    monkeypatch.setattr(workers._Worker, "take", take_and_die)
    records = run(photos[:2], out, model, lambda left: LocalPool(1, out, model, ["cpu"]), lambda record: None)
    assert {path.name for path in out.iterdir()} == {"a.mp4", "b.mp4", "batch.jsonl"}
    _, here = run_here(photos[:2], out.with_name("here"), animator, model)
    for name, record in records.items():
        assert record["state"] == "done" and record["frames_sha256"] == here[name]["frames_sha256"]
    assert [records[name]["attempts"] for name in ("a.mp4", "b.mp4")] == [2, 1]


def test_records_come_before_the_error_that_ends_a_run(photos: list[Task]) -> None:
    class Failing:
        def submit(self, job: Job) -> Job:
            if job.request is photos[0]:
                job.set_result({"state": "done"})
            else:
                job.set_exception(WeightsNotFound("There are none."))
            return job

    records = run_tasks(photos, Failing())
    assert next(records)[1]["state"] == "done"
    with pytest.raises(WeightsNotFound):
        next(records)


def test_an_unexpected_error_of_one_photo_does_not_end_a_run(photos: list[Task]) -> None:
    class Surprising:
        def submit(self, job: Job) -> Job:
            job.set_exception(ValueError("surprise")) if job.request is photos[0] else job.set_result({"state": "done"})
            return job

    (_, first), *others = run_tasks(photos, Surprising())
    assert (first["kind"], first["error"]) == ("internal", "Internal error: ValueError: surprise")
    assert [record["state"] for _, record in others] == ["done", "done"]


def test_processes_that_cannot_load_end_the_run(photos: list[Task], out: Path) -> None:
    with pytest.raises(WeightsNotFound, match="no-such-model"):
        run(photos, out, "small", lambda left: LocalPool(1, out, "no-such-model", ["cpu"]), lambda record: None)


def test_memory_limits_the_number_of_processes(photos: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylecine.batch.local.cores", lambda: 8)
    monkeypatch.setattr("stylecine.batch.local.available_bytes", lambda device: 4e9)
    assert count_for(photos, ["cpu"]) == 2  # at 1024x1536 each takes 1.6 GB
    assert count_for([replace(task, options=PLAIN | {"size": 64}) for task in photos], ["cpu"]) == 3
    assert count_for([replace(task, options=PLAIN | {"size": None}) for task in photos], ["cpu"]) == 1
