"""The service without HTTP and without workers: awkward moments, and writes that fail."""

import asyncio
import math
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from stylecine.errors import DiskFull, SceneError
from stylecine.machine.workers import Job
from stylecine.output.writing import check_output
from stylecine.server import scenes
from stylecine.server.problems import Problem
from stylecine.server.schemas import Animation
from stylecine.server.service import FULL_ATTEMPTS, Service, _number_edits
from stylecine.server.settings import Settings
from stylecine.server.store import Row, Store

SCENE_RESULT = {"base": [], "width": 96, "height": 72, "moving": 0.5, "classes": {}, "warning": None}
FULL = sqlite3.OperationalError("database or disk is full")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service whose workers are never started: tests set their results."""
    service = Service(Settings(tmp_path), Store(tmp_path))
    yield service
    service.store.close()


async def queued_scene(service: Service) -> str:
    upload = service.store.temporary(".part")
    upload.write_bytes(b"a photo")
    id = await service.add_scene(upload, "lake.jpg", 1024, 0)
    await asyncio.sleep(0)
    return id


async def queued_animation(service: Service) -> str:
    scene = await queued_scene(service)
    finish(service, scene, SCENE_RESULT)
    await service.changed(scene, until=lambda: service.scene(scene)["state"] == "ready")
    row = await service.add_animation(Animation(scene=scene).model_dump(), None)
    await asyncio.sleep(0)
    return str(row["id"])


def finish(service: Service, id: str, result: dict[str, Any]) -> None:
    """Does what a worker does that has finished."""
    service._jobs[id].set_result(result)


@pytest.mark.parametrize("cause", ["the other process is idle", "an animation is requested"])
def test_processes_for_animations_load_after_the_first_preview(
    service: Service, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    started: list[bool] = []
    (worker,) = service.interactive._workers
    monkeypatch.setattr("stylecine.server.service.QUIET", 0.1)
    monkeypatch.setattr("stylecine.server.service.POLL", 0.01)
    monkeypatch.setattr(service.animations, "start", lambda: started.append(True))

    async def run() -> None:
        loading = asyncio.create_task(service._start_animations())
        await asyncio.sleep(0.2)
        assert not started, "the other process is still loading"
        worker.ready = True
        worker.job = Job({})
        await asyncio.sleep(0.2)
        assert not started, "the other process is at work"
        if cause == "the other process is idle":
            worker.job = None
        else:
            service.animations.submit(Job({}))
        await asyncio.wait_for(loading, 5)
        assert started == [True]

    asyncio.run(run())


def test_a_scene_whose_row_cannot_be_written_can_be_deleted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise FULL

    async def run() -> None:
        job, scene = await queued_animation(service), await queued_scene(service)
        with monkeypatch.context() as patch:
            patch.setattr(service.store, "change", full)
            finish(service, scene, SCENE_RESULT)
            finish(service, job, {"bytes": 1, "warning": None})
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await service.delete_scene(scene)
            assert await service.delete_animation(job) is None
        assert service.store.scene(scene) is None and service.store.animation(job) is None

    asyncio.run(run())


def test_nothing_waits_for_the_disk_in_the_event_loop(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            threads.append(threading.current_thread())
            return function(*args, **options)

        return call

    class Upload:
        async def stream(self) -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"a part"

    async def run() -> None:
        upload = await scenes._receive(Upload(), service, set())  # type: ignore[arg-type]
        assert upload.read_bytes() == 3 * b"a part"
        await queued_animation(service)

    monkeypatch.setattr("shutil.disk_usage", noted(shutil.disk_usage))
    monkeypatch.setattr("stylecine.server.service.check_output", noted(check_output))
    asyncio.run(run())
    assert len(threads) >= 6 and threading.main_thread() not in threads


def test_a_photo_whose_row_cannot_be_written_leaves_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise FULL

    monkeypatch.setattr(service.store, "insert", full)
    with pytest.raises(sqlite3.OperationalError):
        asyncio.run(queued_scene(service))
    assert not list((service.store.folder / "uploads").iterdir())


def test_edits_keep_their_numbers() -> None:
    """An edit gets the number of the first equal edit that is not used yet; a new edit gets a new number."""
    fast, slow = {"kind": "speed", "factor": 2.0}, {"kind": "speed", "factor": 0.5}
    row = {"base": [fast], "edits": [{"id": 0, **fast}, {"id": 4, **slow}, {"id": 5, **fast}]}

    def numbers(*requested: dict[str, Any]) -> list[int]:
        return [edit["id"] for edit in _number_edits(list(requested), row)]

    assert numbers(fast, slow, fast, fast) == [0, 4, 5, 6]
    assert numbers({"id": 0}, fast, {"id": 3, **slow}, {"factor": 2.0, "kind": "speed"}, slow) == [0, 5, 4, 6, 7]
    assert _number_edits([{"id": 4}], row) == [{"id": 4, **slow}]
    for twice in ([{"id": 4}, {"id": 4}], [fast, {"id": 0}], [{"id": 1}]):
        with pytest.raises(Problem):
            numbers(*twice)


def test_the_maximum_of_edits_does_not_block_the_service() -> None:
    known = [
        {"id": n, "kind": "speed", "factor": 2.0, "stroke": [[n / 1000, y / 20] for y in range(20)]}
        for n in range(1000)
    ]
    requested = [edit | {"id": None, "factor": 3.0} for edit in known]
    start = time.process_time()
    assert _number_edits([*reversed(known)], {"base": [], "edits": known}) == [*reversed(known)]
    assert [edit["id"] for edit in _number_edits(requested, {"base": [], "edits": known})] == [*range(1000, 2000)]
    assert time.process_time() - start < 1, "comparing every pair takes several times as long"


def test_a_failed_sweep_is_not_the_last(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []

    def expired(table: str) -> list[Row]:
        rounds.append(table)
        raise FULL

    async def run() -> None:
        monkeypatch.setattr(service.store, "expired", expired)
        monkeypatch.setattr("stylecine.server.service.SWEEP_INTERVAL", 0.01)
        sweep = asyncio.create_task(service._sweep())
        await asyncio.sleep(0.1)
        sweep.cancel()

    asyncio.run(run())
    assert len(rounds) > 1


@pytest.mark.parametrize("jump", [25 * 3600, -25 * 3600])
def test_nothing_expires_because_the_clock_jumps(service: Service, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    async def run() -> None:
        store, real = service.store, time.time
        upload = store.temporary("")
        upload.write_bytes(b"a photo")
        id = await service.add_scene(upload, "a photo", 64, 0)
        await store.change("scenes", id, state="failed")
        before = store.scene(id)
        await store.insert("scenes", before | {"id": "of the future", "created": real() + 1e6, "expires": real() + 2e6})
        monkeypatch.setattr("time.time", lambda: real() + jump)
        assert not store.expired("scenes")
        await store.follow_clock()
        assert abs(store.now() - time.time()) < 1
        assert store.scene(id)["expires"] == pytest.approx(before["expires"] + jump, abs=1)
        assert store.scene("of the future")["expires"] == pytest.approx(real() + 2e6, abs=60)
        assert not store.expired("scenes")
        await store.change("scenes", id, expires=store.now() - 1)
        assert [row["id"] for row in store.expired("scenes")] == [id]

    asyncio.run(run())


def test_work_that_a_full_disk_ended_is_taken_up_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise FULL

    async def run() -> None:
        monkeypatch.setattr("stylecine.server.service.SWEEP_INTERVAL", 0.01)
        job = await queued_animation(service)
        with monkeypatch.context() as patch:
            patch.setattr(service.store, "change", full)
            finish(service, job, {"bytes": 1, "warning": None})
            await asyncio.sleep(0.02)
        assert service.animation(job)["state"] == "queued" and job not in service._jobs
        sweep = asyncio.create_task(service._sweep())
        async with asyncio.timeout(5):
            while job not in service._jobs:
                await asyncio.sleep(0.01)
        finish(service, job, {"bytes": 2, "warning": None})
        await service.changed(job, until=lambda: service.animation(job)["state"] == "done")
        await asyncio.sleep(0.05)
        assert job not in service._jobs, "what is done is done once"
        sweep.cancel()

    asyncio.run(run())


def test_deleting_a_job_that_has_just_finished_removes_it(service: Service) -> None:
    async def run() -> None:
        job = await queued_animation(service)
        service.store.result(job, "mp4").touch()
        finish(service, job, {"bytes": 1, "warning": None})
        assert await service.delete_animation(job) is None
        assert service.store.animation(job) is None and not service.store.result(job, "mp4").exists()

    asyncio.run(run())


def test_deleting_a_job_that_waits_cancels_it(service: Service) -> None:
    async def run() -> None:
        row = await service.delete_animation(await queued_animation(service))
        assert row is not None and row["state"] == "cancelled"

    asyncio.run(run())


def test_a_scene_deleted_while_being_made_leaves_nothing(service: Service) -> None:
    async def run() -> None:
        scene = await queued_scene(service)
        await service.delete_scene(scene)
        assert service.store.count("scenes") == {} and not service.store.upload(scene).exists()

    asyncio.run(run())


def test_a_scene_is_deleted_with_all_its_animations_in_a_few_writes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    write = service.store._write

    async def noted(sql: str, values: Iterable[Any]) -> None:
        writes.append(sql)
        await write(sql, values)

    async def run() -> None:
        scene = service.animation(await queued_animation(service))["scene"]
        for _ in range(40):
            await service.add_animation(Animation(scene=scene).model_dump(), None)
        other = await queued_animation(service)
        monkeypatch.setattr(service.store, "_write", noted)
        await service.delete_scene(scene)
        await asyncio.sleep(0.1)
        assert service.store.count("animations") == {"cancelled": 41, "queued": 1}
        assert service.animations._waiting == [service._jobs[other]]

    asyncio.run(run())
    assert len(writes) == 2


def test_an_animation_that_starts_while_it_is_cancelled_stays_cancelled(service: Service) -> None:
    async def run() -> None:
        job = await queued_animation(service)
        await service.store.cancel_animations(service.animation(job)["scene"], time.time())
        service._jobs[job].started()
        await asyncio.sleep(0.1)
        assert service.animation(job)["state"] == "cancelled"

    asyncio.run(run())


def test_a_scene_deleted_while_it_is_read_is_not_found(service: Service) -> None:
    async def run() -> None:
        scene = service.animation(await queued_animation(service))["scene"]
        request = asyncio.create_task(service.facts(service.scene(scene), "seam"))
        await asyncio.sleep(0)
        job = next(job for job in service.interactive._waiting if job.request["task"] == "seam")
        await service.delete_scene(scene)
        job.set_exception(SceneError("There is no scene at 'the file'; check the path."))
        with pytest.raises(Problem) as raised:
            await request
        assert raised.value.status == 404 and raised.value.detail.startswith("There is no such scene")

    asyncio.run(run())


def test_an_animation_whose_scene_has_lost_its_file_says_so(service: Service) -> None:
    async def run() -> None:
        job = await queued_animation(service)
        scene = service.animation(job)["scene"]
        service._jobs[job].set_exception(SceneError("There is no scene at 'the file'; check the path."))
        await service.changed(job, until=lambda: service.animation(job)["state"] == "failed")
        for row in (service.animation(job), service.scene(scene)):
            assert row["state"] == "failed" and "file is missing" in row["problem"]["detail"]

    asyncio.run(run())


def test_work_that_finds_the_disk_full_again_and_again_fails(service: Service) -> None:
    async def run() -> None:
        job = await queued_animation(service)
        for attempt in range(1, FULL_ATTEMPTS + 1):
            service._jobs[job].set_exception(DiskFull("There is no space left on the disk; free some."))
            await service.changed(job, until=lambda: job not in service._jobs)
            await asyncio.sleep(0.05)
            assert service.animation(job)["state"] == ("queued" if attempt < FULL_ATTEMPTS else "failed")
            await service._resume(before=math.inf, room=0)
            await asyncio.sleep(0)
        assert "no room left on the service's disk" in service.animation(job)["problem"]["detail"]

    asyncio.run(run())


def test_waiting_clients_are_released_when_the_service_stops(service: Service) -> None:
    async def run() -> None:
        waiting = asyncio.create_task(service.changed("x", until=lambda: False))
        await asyncio.sleep(0)
        service.stopping = True
        service._notify("x")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(run())


def test_the_database_shrinks(service: Service) -> None:
    async def run() -> None:
        await service.store.shrink()
        before = pages()
        row = {"id": "x", "scene": "x", "state": "queued", "format": "mp4", "name": "x", "asked": {}, "expires": 0.0}
        await service.store.insert("animations", row | {"edits": ["x" * 10_000_000], "created": time.time()})
        assert pages() > before + 1000
        await service.store.delete("animations", "x")
        await service.store.shrink()
        assert pages() == before

    def pages() -> int:
        return int(service.store._reader.execute("PRAGMA page_count").fetchone()[0])

    asyncio.run(run())
