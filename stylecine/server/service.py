"""The service without HTTP: connects the store, the workers and the clients that wait for changes."""

import asyncio
import json
import logging
import math
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from stylecine.errors import Cancelled, DiskFull, SceneError, StylecineError
from stylecine.machine.atomic import remove_stale_temp
from stylecine.machine.progress import EXPLANATION, FILE, LOOP, Share
from stylecine.machine.threads import cores
from stylecine.machine.workers import Job, PoolClosed, TimeLimitExceeded, WorkerLost, WorkerPool
from stylecine.options import FILE_OPTIONS, OPTIONS, FileOptions, RenderOptions
from stylecine.output.codecs import count_loops
from stylecine.output.formats import SERVED
from stylecine.output.writing import check_output
from stylecine.server import schemas
from stylecine.server.problems import Problem, animation_lost, disk_full, not_found, problem_of, scene_lost
from stylecine.server.ranges import Recent
from stylecine.server.settings import MAX_PICTURES, MAX_POINTS, Settings
from stylecine.server.store import Row, Store, flush_to_disk, is_full, is_id, is_readable, new_id, without_paths

LOG = logging.getLogger("uvicorn.error")
WORKER = "stylecine.server.worker:load"
RAY_WORKER = "stylecine.server.ray:load"
ATTEMPTS = 2  # workers that a job may crash: each takes other clients' scenes in memory with it
FIRST_DRAWN = 1.5  # seconds in which a browser has all cores to draw the first loop
NEW_SCENE_DELAY = 5.0  # seconds by which edits and previews, and the first loop of another, may overtake a new photo
QUIET, POLL = 3.0, 0.2  # seconds without work after which the processes for animations load; and between two checks
SWEEP_INTERVAL = 20.0  # seconds between two removals of expired rows, and two tries of unfinished work
EXPIRY_STEP = 60.0  # seconds by which a scene's expiry has to change to be written
RECENT_BYTES = 64_000_000  # of files that clients ask for in parts
MIN_FREE_BYTES = 256e6  # of the disk, below which nothing more is accepted
MIN_ROOM_BYTES = 16e6  # of the disk, below which no edit is kept and no file is made
FULL_ATTEMPTS = 5  # with room at their start, after which work that finds the disk full has failed


class Service:
    """Raises Problems, which are the responses to send."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        interactive = settings.workers // 2
        self.interactive = _pool(settings, interactive, nice=5)  # for clients that wait for the response
        self.animations = _pool(settings, settings.workers - interactive, nice=15)
        self.pools = {"interactive": self.interactive, "animations": self.animations}  # by their labels in the metrics
        self.progress: dict[str, schemas.Progress] = {}  # of unfinished animations, and of files that clients wait for
        self.recent = Recent(RECENT_BYTES)
        self.bytes_used = 0
        self.stopping = False
        self.finished: Counter[tuple[str, str]] = Counter()  # scenes and animations, by final state
        self._jobs: dict[str, Job] = {}  # of unfinished scenes and animations
        self._working: set[str] = set()  # their ids
        self._first: dict[str, Path] = {}  # of scenes that are being made, the files of their first loops
        self._background: set[asyncio.Task[Any]] = set()
        self._full: Counter[str] = Counter()  # how often unfinished work has found the disk full
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._edit_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by scene, while in use

    async def start(self) -> None:
        """Resumes unfinished work, and fails what has lost its file."""
        self.interactive.start()
        self._run(self._start_animations())
        await self._fail_without_file()
        await self._resume(before=math.inf, room=MIN_ROOM_BYTES)
        self._run(self._sweep())

    async def _fail_without_file(self) -> None:
        problems = {"scenes": scene_lost(), "animations": animation_lost()}
        for table, ids in (await asyncio.to_thread(self.store.without_file)).items():
            for id in ids:
                await self.store.change(table, id, state="failed", problem=problems[table].json)
            if ids:
                LOG.warning("%d %s have failed, because their files are missing or cut short.", len(ids), table)

    async def _resume(self, before: float, room: float) -> None:
        """Starts work that was accepted before a time and that nothing is working on: of the last run, or left when the
        disk was full. If the disk has less room than this, it waits, until it expires like anything else."""
        has_room = await self._free_bytes() >= room
        work = {"scenes": self._make_scene, "animations": self._animate}
        for table, start in work.items():
            for row in self.store.unfinished(table):
                if row["created"] < before and row["id"] not in self._working and not self.stopping:
                    if has_room:
                        self._run(self._work(row["id"], start(row)))
                    elif row["expires"] < self.store.now():
                        await self.store.change(table, row["id"], state="failed", problem=disk_full().json)

    async def _work(self, id: str, work: Coroutine[Any, Any, None]) -> None:
        self._working.add(id)
        try:
            await work
            self._full.pop(id, None)
        finally:
            self._working.discard(id)
            if id in self._first:
                _remove(self._first.pop(id))

    def stop(self) -> None:
        """Stops all work, which the next start resumes, and ends the requests of waiting clients."""
        self.stopping = True
        for pool in self.pools.values():
            pool.stop()
        for events in self._watchers.values():
            for event in events:
                event.set()

    async def close(self) -> None:
        self.stop()
        await asyncio.gather(*(asyncio.to_thread(pool.close) for pool in self.pools.values()))
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self.store.close()

    async def _start_animations(self) -> None:
        """Loads the processes for animations once the others are idle, or with the first animation: until then, the
        first photo's preview needs all cores."""
        quiet = 0.0
        while quiet < QUIET and not self.animations.waiting:
            await asyncio.sleep(POLL)
            quiet = quiet + POLL if self.interactive.idle else 0.0
        self.animations.start()

    # --- scenes

    def scene(self, id: str) -> Row:
        row = self.store.scene(id) if is_id(id) else None
        if row is None:
            raise not_found("scene")
        return row

    async def ready_scene(self, id: str) -> Row:
        """A scene that is ready to be used; postpones its expiry."""
        row = self.scene(id)
        if row["state"] == "failed":
            raise Problem(409, "SceneFailed", f"The scene could not be made: {row['problem']['detail']}")
        if row["state"] != "ready":
            raise Problem(409, "SceneNotReady", "The scene is still being made; wait until its state is ready.")
        expires = self._expiry()
        if expires - row["expires"] > EXPIRY_STEP:
            await self.store.change("scenes", id, expires=expires)
        return row

    async def require_room_for_scene(self) -> None:
        """Raises a 429 if no photo can be accepted now."""
        await self.require_disk()
        _require_room(self.interactive, self.settings.waiting)
        if sum(self.store.count("scenes").values()) >= self.settings.scenes:
            raise store_full(f"the limit of kept scenes, {self.settings.scenes}, is reached")

    async def add_scene(self, upload: Path, name: str, size: int, refine: int, first: int | None = None) -> str:
        """Takes over the file of an upload; returns the scene's id. first: the short side of its first loop."""
        await self.require_room_for_scene()
        id, now = new_id(), self.store.now()
        row = {
            **{"id": id, "state": "queued", "name": name, "size": size, "refine": refine, "classes": {}, "base": []},
            **{"edits": [], "version": 0, "created": now, "expires": self._expiry()},
        }
        upload.rename(self.store.upload(id))
        try:
            await asyncio.to_thread(flush_to_disk, self.store.upload(id))
            await self.store.insert("scenes", row)
        except Exception:  # but not a cancellation, after which the row may still be written
            _remove(self.store.upload(id))
            raise
        self._run(self._work(id, self._make_scene(row, first)))
        return id

    async def _make_scene(self, row: Row, first: int | None = None) -> None:
        """In one job, or, with a first loop, in two, between which others can get their turn; the first interrupts the
        second of another photo."""
        id = row["id"]
        upload, cine = self.store.upload(id), self.store.cine(id)
        request = {"task": "scene", "scene": id, "upload": str(upload), "cine": str(cine)}
        request |= {"max_size": self.settings.size} | {name: row[name] for name in ("name", "size", "refine")}
        if first is not None and not await self._begin_scene(id, request | {"task": "begin", "first": first}):
            return
        job = self._new_scene_job(id, request, delay=NEW_SCENE_DELAY)
        with self._unfinished(id, job):
            changes = await self._outcome(id, self.interactive.submit(job), "ready")
            if changes["state"] == "ready":
                changes["edits"] = [{"id": number, **edit} for number, edit in enumerate(changes["base"])]
            await self._end_scene(id, changes)

    async def _begin_scene(self, id: str, request: dict[str, Any]) -> bool:
        """Makes the loop that can be read before the scene; whether to go on."""
        output = self.store.temporary(".pack")
        job = self._new_scene_job(id, request | {"output": str(output)}, interrupts=True)
        with self._unfinished(id, job):
            changes = await self._outcome(id, self.interactive.submit(job), "running")
            if changes["state"] != "running":
                _remove_output(output)
                await self._end_scene(id, changes)
                return False
            await self.store.change("scenes", id, **changes)
            if output.exists():
                self._first[id] = output
        if id in self._first:
            await asyncio.sleep(FIRST_DRAWN)
        return self.store.scene(id) is not None

    def _new_scene_job(self, id: str, request: dict[str, Any], **order: Any) -> Job:
        def started() -> None:
            self._run(self.store.begin("scenes", id))

        limit = self.settings.scene_seconds
        return Job(request, key=id, limit=limit, started=_in_event_loop(started), **order)

    async def _end_scene(self, id: str, changes: dict[str, Any]) -> None:
        if changes["state"] == "cancelled":  # by delete_scene()
            return
        await self.store.change("scenes", id, expires=self._expiry(), **changes)
        self.finished["scenes", changes["state"]] += 1
        _remove(self.store.upload(id))

    async def first_loop(self, id: str) -> Path | None:
        """The file of the first loop of a scene that is being made, once there is one; None if there will be none."""

        def is_known() -> bool:
            row = self.store.scene(id)
            return id in self._first or row is None or row["state"] not in ("queued", "running")

        self.scene(id)
        await self.changed(id, until=is_known)
        return self._first.get(id)

    async def delete_scene(self, id: str) -> None:
        """Also cancels its unfinished animations."""
        self.scene(id)
        await self._cancel_animations(id)
        if id in self._jobs:
            self.interactive.cancel(self._jobs[id])
            await self.changed(id, until=lambda: id not in self._jobs)
        await self.store.delete("scenes", id)
        _remove(self.store.cine(id), self.store.upload(id))
        for pool in self.pools.values():
            pool.broadcast({"task": "forget", "scene": id, "cine": str(self.store.cine(id))})
        self._notify(id)

    async def _cancel_animations(self, scene: str) -> None:
        """Those of a scene that are not finished: thousands at once."""
        await self.store.cancel_animations(scene, self._expiry())
        jobs = {id: job for id, job in self._jobs.items() if job.key == scene and id != scene}
        self.animations.cancel(*jobs.values())
        for id, job in jobs.items():
            await self.changed(id, until=lambda id=id, job=job: self._jobs.get(id) is not job)  # type: ignore[misc]

    async def edit_scene(self, id: str, edits: list[dict[str, Any]]) -> Row:
        """Replaces all edits of a scene, or none if one is impossible."""
        await self._require_room()
        lock = self._edit_locks.setdefault(id, asyncio.Lock())
        async with lock:
            row = await self.ready_scene(id)
            numbered = _number_edits(edits, row)
            result = await self.facts(row | {"edits": numbered}, "edit")
            await self.store.change("scenes", id, edits=numbered, version=row["version"] + 1, **result)
        return self.scene(id)

    async def facts(self, row: Row, task: str, **options: Any) -> dict[str, Any]:
        """What a task on a scene finds out, for a client that waits."""
        return await self._interactive_result(self._scene_job(row, task, **options))

    def _scene_job(self, row: Row, task: str, **options: Any) -> Job:
        """A job on a scene with its edits, for a client that waits."""
        request = self._scene_request(row, row["edits"]) | {"task": task, **options}
        return Job(request, key=row["id"], limit=self.settings.wait_seconds)

    def file_reached(self, row: Row, task: str) -> schemas.Progress:
        """How far a file of a scene is that `make_file` makes."""
        return self.progress.get(f"{task} {row['id']}") or schemas.Progress(stage="queued")

    async def make_file(self, row: Row, task: str, suffix: str, **options: Any) -> Path:
        """The output of a task on a scene, for a client that waits; the caller removes it."""
        await self._require_room()
        output = self.store.temporary(suffix)
        job = self._scene_job(row, task, output=str(output), **options)
        key = f"{task} {row['id']}"
        job.progress = self._progress(key, LOOP | EXPLANATION)
        job.add_done_callback(_in_event_loop(lambda _: self.progress.pop(key, None)))  # after the last of it
        try:
            await self._interactive_result(job)
        except BaseException:
            job.add_done_callback(lambda _: _remove_output(output))  # the job may still be writing it
            raise
        return output

    async def _interactive_result(self, job: Job) -> dict[str, Any]:
        """The result of a job that a client waits for; cancelling this coroutine cancels the job."""
        _require_room(self.interactive, self.settings.waiting)
        self.interactive.submit(job)
        try:
            async with asyncio.timeout(2 * self.settings.wait_seconds):
                return await self._result(job)
        except DiskFull:
            raise disk_full() from None
        except TimeoutError:
            raise Problem(503, "TookTooLong", "The service was busy for too long; try again later.") from None
        except Cancelled:
            raise Problem(409, "Cancelled", "The work was cancelled.") from None
        except PoolClosed:
            raise Problem(503, "NotReady", "The service is stopping; try again when it is back.") from None
        finally:
            self.interactive.cancel(job)

    async def cause(self, scene: str, problem: Problem) -> Problem:
        """Why a scene's file could not be read: it was deleted meanwhile, or it is damaged, with which the scene fails.
        Otherwise the problem itself."""
        row = self.store.scene(scene)
        if row is None:
            return not_found("scene")
        if row["state"] != "ready" or await asyncio.to_thread(is_readable, self.store.cine(scene)):
            return problem
        await self.store.change("scenes", scene, state="failed", problem=scene_lost().json)
        return scene_lost()

    # --- animations

    def animation(self, id: str) -> Row:
        row = self.store.animation(id) if is_id(id) else None
        if row is None:
            raise not_found("animation")
        return row

    async def add_animation(self, options: dict[str, Any], key: str | None) -> Row:
        """Queues an animation, only once for each Idempotency-Key, and returns when it is on the disk."""
        if key is not None and (row := self.store.animation_of_key(key)):
            if row["asked"] != options:
                detail = "This Idempotency-Key was used for another request; use a new key for a new request."
                raise Problem(422, "KeyUsedBefore", detail)
            return row
        scene = await self.ready_scene(options["scene"])
        await self.require_disk()
        await self._check_animation(options)
        _require_room(self.animations, self.settings.queue)
        row = {
            **{"id": new_id(), "scene": scene["id"], "state": "queued", "format": options["format"]},
            **{"name": scene["name"], "asked": options, "edits": scene["edits"], "key": key},
            **{"created": self.store.now(), "expires": self._expiry()},
        }
        try:
            await self.store.insert("animations", row)
        except sqlite3.IntegrityError:  # the same key, at the same moment
            return await self.add_animation(options, key)
        self._run(self._work(row["id"], self._animate(row)))
        return self.animation(row["id"])

    async def _animate(self, row: Row) -> None:
        id, scene = row["id"], self.store.scene(row["scene"])
        output = self.store.result(id, row["format"])
        _remove_output(output)  # of an attempt that a crash interrupted
        if scene is None and not self._is_cancelled(id):  # deleted since the request
            await self.store.change("animations", id, state="cancelled", finished=self.store.now())
        if scene is None or self._is_cancelled(id):
            return
        request = self._scene_request(scene, row["edits"]) | row["asked"] | {"task": "animate", "output": str(output)}

        def started() -> None:
            self.progress[id] = schemas.Progress(stage="motion")
            self._run(self.store.begin("animations", id, started=self.store.now()))
            self._notify(id)

        job = Job(
            request,
            key=row["scene"],
            limit=self.settings.animation_seconds,
            started=_in_event_loop(started),
            progress=self._progress(id, LOOP | FILE),
        )
        with self._unfinished(id, job):
            changes = await self._outcome(id, self.animations.submit(job), "done")
            if changes["state"] != "done" and job.attempts:
                _remove_output(output)
            changes |= {"finished": self.store.now(), "expires": self._expiry(), "edits": []}  # no longer needed
            if changes["state"] != "cancelled" or not self._is_cancelled(id):
                await self.store.change("animations", id, **changes)
            self.finished["animations", changes["state"]] += 1

    def _is_cancelled(self, id: str) -> bool:
        """Whether the row of an animation says so already, as after `delete_scene`."""
        row = self.store.animation(id)
        return row is None or row["state"] == "cancelled"

    async def delete_animation(self, id: str) -> Row | None:
        """Cancels an unfinished animation and returns its row; removes a finished one and returns None."""
        row = self.animation(id)
        if id in self._jobs:
            self.animations.cancel(self._jobs[id])
            await self.changed(id, until=lambda: id not in self._jobs)
            row = self.animation(id)
            if row["state"] == "cancelled":  # it may have finished just before
                return row
        await self.store.delete("animations", id)
        _remove(self.store.result(id, row["format"]))
        return None

    async def result_cause(self, id: str) -> Problem:
        """Why there is no file of a done animation: it was deleted meanwhile, or it is lost, with which the animation
        fails."""
        self.animation(id)
        await self.store.change("animations", id, state="failed", problem=animation_lost().json)
        return animation_lost()

    async def _check_animation(self, options: dict[str, Any]) -> None:
        """Raises a 422 for impossible options."""
        self.check_loop(options)
        form = SERVED[options["format"]]
        loops = options["repeat"]
        try:
            file = FileOptions(**{name: options[name] for name in FILE_OPTIONS if name in options})
            await asyncio.to_thread(check_output, self.store.temporary(form.ending), file, options["fps"])
            form.check_loop(options["warp"], options["sampling"])
            if options["duration"] is not None:
                seconds = RenderOptions(seconds=options["seconds"], fps=options["fps"]).period / options["fps"]
                loops = count_loops(1, options["duration"], seconds)
        except StylecineError as error:
            problem = problem_of(error)
            problem.detail = without_paths(problem.detail, self.store.folder, f"loop{form.ending}")
            raise problem from None
        if loops > self.settings.repeat:
            raise _beyond_limits(f"a video repeats its loop at most {self.settings.repeat} times here")

    def check_loop(self, request: dict[str, Any]) -> None:
        """Raises a 422 for impossible options of a loop, and for a loop that is longer than allowed."""
        try:
            options = RenderOptions(**{name: request[name] for name in OPTIONS if name in request})
        except StylecineError as error:
            raise problem_of(error) from None
        if options.seconds > self.settings.seconds or options.period > self.settings.frames:
            limits = f"{self.settings.seconds:g} s and {self.settings.frames} frames"
            raise _beyond_limits(f"a loop has at most {limits} here")

    # --- changes

    async def changes(self, id: str) -> AsyncGenerator[None]:
        """Yields immediately, then whenever a scene or an animation may have changed, and at least every 15 s."""
        event = asyncio.Event()
        self._watchers[id].add(event)
        try:
            while not self.stopping:
                yield
                with suppress(TimeoutError):
                    async with asyncio.timeout(15):
                        await event.wait()
                event.clear()
        finally:
            self._watchers[id].discard(event)
            if not self._watchers[id]:
                del self._watchers[id]

    async def changed(self, id: str, until: Callable[[], bool]) -> None:
        """Waits until a condition holds, or the service stops."""
        async with aclosing(self.changes(id)) as changes:
            async for _ in changes:
                if until():
                    return

    def reached(self, row: Row) -> schemas.Progress:
        """How far an animation is."""
        if row["state"] == "done":
            return schemas.Progress(stage="done", done=1, share=1.0)
        return self.progress.get(row["id"]) or schemas.Progress(
            stage="queued" if row["state"] == "running" else row["state"]
        )

    def _progress(self, key: str, stages: Mapping[str, float]) -> Callable[..., None]:
        """What a job reports its progress to, which is kept by this key."""
        share = Share(stages)

        def progress(stage: str, done: int, total: int) -> None:
            self.progress[key] = schemas.Progress(stage=stage, done=done, total=total, share=share(stage, done, total))
            self._notify(key)

        return _in_event_loop(progress)

    def _notify(self, id: str) -> None:
        for event in self._watchers.get(id, ()):
            event.set()

    # --- common

    async def _outcome(self, id: str, job: Job, success: str) -> dict[str, Any]:
        """The changes of a row after its job: the final state, and the result or the problem. Raises PoolClosed, and
        DiskFull if the job is to be tried again when there is room."""
        try:
            return {"state": success, **await self._result(job)}
        except DiskFull:
            if "output" in job.request:
                _remove_output(Path(job.request["output"]))
            self._full[id] += 1
            if self._full[id] < FULL_ATTEMPTS:
                raise
            return {"state": "failed", "problem": disk_full().json}
        except Problem as problem:
            return {"state": "failed", "problem": problem.json}
        except Cancelled:
            return {"state": "cancelled"}

    async def _result(self, job: Job) -> dict[str, Any]:
        """Raises Problem, Cancelled, DiskFull or PoolClosed."""
        try:
            return dict(await asyncio.wrap_future(job))
        except (Cancelled, DiskFull, PoolClosed):
            raise
        except SceneError as error:
            raise await self.cause(job.key, problem_of(error)) from None
        except StylecineError as error:
            raise problem_of(error) from None
        except TimeLimitExceeded:
            detail = f"It took longer than {job.limit:g} s; ask for a smaller size or a shorter loop."
            raise Problem(503, "TookTooLong", detail) from None
        except WorkerLost:
            detail = f"The work was tried {job.attempts} times, and its process died each time; try a smaller size."
            raise Problem(500, "WorkerLost", detail) from None
        except RuntimeError as error:
            raise Problem(500, "InternalError", str(error)) from None

    @contextmanager
    def _unfinished(self, id: str, job: Job) -> Iterator[None]:
        """A context in which the job of a scene or an animation can be cancelled."""
        self._jobs[id] = job
        try:
            yield
        finally:
            del self._jobs[id]
            self.progress.pop(id, None)
            self._notify(id)

    def _scene_request(self, scene: Row, edits: list[dict[str, Any]]) -> dict[str, Any]:
        """A worker's request without its task; edits that are in the scene's file are numbers."""
        in_file = len(scene["base"])
        specs = [
            {"base": edit["id"]} if edit["id"] < in_file else {name: edit[name] for name in edit if name != "id"}
            for edit in edits
        ]
        return {"scene": scene["id"], "cine": str(self.store.cine(scene["id"])), "edits": specs}

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DiskFull) or (isinstance(error, sqlite3.Error) and is_full(error)):
            LOG.warning("The disk is full; work waits until there is room.")
        elif error and not isinstance(error, PoolClosed):  # the next sweep or start tries again
            LOG.error("Work was left unfinished: %s", error, exc_info=error)

    def _expiry(self) -> float:
        return self.store.now() + 3600 * self.settings.keep_hours

    async def require_disk(self) -> None:
        """Raises a 429 if too little is left of the disk to accept more, and a 507 if nothing is."""
        await self._require_room()
        if self.bytes_used > 1e6 * self.settings.disk_mb or await self._free_bytes() < MIN_FREE_BYTES:
            raise store_full("there is no room left on the disk")

    async def _require_room(self) -> None:
        """Raises a 507 if the disk is full."""
        if await self._free_bytes() < MIN_ROOM_BYTES:
            raise disk_full()

    async def _free_bytes(self) -> int:
        return (await asyncio.to_thread(shutil.disk_usage, self.store.folder)).free

    async def _sweep(self) -> None:
        while True:
            try:
                await self.store.follow_clock()
                await self._remove_expired()
                # what is just being accepted is started there
                await self._resume(before=self.store.now() - SWEEP_INTERVAL, room=MIN_FREE_BYTES)
                await self.store.shrink()
                self.bytes_used = await asyncio.to_thread(self.store.bytes_used)
            except Exception:  # the next attempt may succeed
                LOG.exception("Expired scenes and animations could not be removed.")
            await asyncio.sleep(min(SWEEP_INTERVAL, 900 * self.settings.keep_hours))

    async def _remove_expired(self) -> None:
        for table, delete in {"animations": self.delete_animation, "scenes": self.delete_scene}.items():
            for row in self.store.expired(table):
                with suppress(Problem):  # a client has deleted it meanwhile
                    await delete(row["id"])
        await asyncio.to_thread(self.store.remove_lost, 3600 * self.settings.keep_hours)


def _pool(settings: Settings, processes: int, nice: int) -> WorkerPool:
    if settings.ray is not None:
        factory = RAY_WORKER
        arguments: tuple[Any, ...] = (settings.ray, settings.workers, WORKER, settings.model, settings.device)
    else:
        factory, arguments = WORKER, (settings.model, settings.device, max(1, cores() // processes))
    return WorkerPool(factory, processes * [arguments], nice=nice, retry=True, attempts=ATTEMPTS)


def _require_room(pool: WorkerPool, limit: int) -> None:
    """Raises a 429 if too many jobs wait for the pool, and a 503 if its processes cannot work."""
    if pool.broken and not pool.ready:
        raise Problem(503, "NotReady", pool.broken)
    if pool.waiting >= limit:
        seconds = str(max(1, min(60, pool.waiting // len(pool.states))))
        raise Problem(429, "QueueFull", f"{limit} others wait already; try again later.", {"Retry-After": seconds})


def _in_event_loop(function: Callable[..., object]) -> Callable[..., None]:
    """A function for other threads that calls `function` in the event loop, while that runs."""
    loop = asyncio.get_running_loop()

    def call(*args: Any) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function, *args)

    return call


def _number_edits(edits: list[dict[str, Any]], row: Row) -> list[dict[str, Any]]:
    """The requested edits in full, each with the number of an equal edit of the scene, or a new one."""
    base = [{"id": number, **edit} for number, edit in enumerate(row["base"])]
    known = {edit["id"]: edit for edit in (*base, *row["edits"])}
    equal: dict[str, list[int]] = defaultdict(list)  # an edit without its number -> the numbers of equal edits
    for number in reversed(known):
        equal[_without_number(known[number])].append(number)
    free = count(max(known, default=-1) + 1)
    numbered: dict[int, dict[str, Any]] = {}
    for edit in edits:
        if "kind" in edit:
            numbers = equal[_without_number(edit)]
            while numbers and numbers[-1] in numbered:
                numbers.pop()
            edit = {**edit, "id": numbers.pop() if numbers else next(free)}
        elif edit["id"] in known:
            edit = known[edit["id"]]
        else:
            raise Problem(422, "UnknownEdit", f"The scene has no edit {edit['id']}; send the edit itself.")
        if edit["id"] in numbered:
            raise Problem(422, "UnknownEdit", "An edit is named twice; name each once.")
        numbered[edit["id"]] = edit
    if sum(len(edit.get("stroke") or ()) for edit in numbered.values()) > MAX_POINTS:
        raise _beyond_limits(f"all strokes together have at most {MAX_POINTS} points here")
    if sum(len(edit.get("picture") or "") for edit in numbered.values()) > MAX_PICTURES:
        raise _beyond_limits(f"the pictures of all styles together have at most {MAX_PICTURES} characters here")
    return [*numbered.values()]


def _without_number(edit: dict[str, Any]) -> str:
    """An edit as text, the same for edits that differ only in their number."""
    return json.dumps({name: value for name, value in edit.items() if name != "id"}, sort_keys=True)


def store_full(reason: str) -> Problem:
    detail = f"Nothing more can be accepted, because {reason}; try again later."
    return Problem(429, "StoreFull", detail, {"Retry-After": "60"})


def _beyond_limits(limit: str) -> Problem:
    return Problem(422, "BeyondLimits", f"This is more than allowed: {limit}.")


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_output(output: Path) -> None:
    """Removes an output, and what an interrupted attempt may have left beside it."""
    remove_stale_temp(output)
    for path in output.parent.glob(f"{output.stem}*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
