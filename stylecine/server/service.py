"""What the service does, without a word of HTTP: it brings together the store, the workers and whoever watches."""

import asyncio
import json
import logging
import os
import shutil
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from stylecine.atomic import remove_stale_temp
from stylecine.errors import StylecineError
from stylecine.options import OPTIONS, RenderOptions, check_live
from stylecine.output.formats import check_output
from stylecine.server.dispatch import Cancelled, Ending, Lane, Task
from stylecine.server.limits import POINTS, Settings
from stylecine.server.problems import Problem, not_found, of_error
from stylecine.server.store import Row, Store, flushed, is_id, new_id

LOG = logging.getLogger("uvicorn.error")
PATIENCE = 5.0  # seconds for which a new photo lets those go first who wait for an edit or a live pack
CALM, PAUSE = 3.0, 0.2  # seconds with nothing to do, after which the processes for animations load; and between looks
SWEEP = 20.0  # seconds between two looks at what has expired
TOUCH = 60.0  # seconds: how exactly it is known when a scene was last used
FREE = 256e6  # bytes that have to be left on the disk

# Stages of an animation, each with the share of the whole work that comes before it.
STAGES = {
    **{"queued": (0.0, 0.0), "motion": (0.0, 0.05), "plate": (0.05, 0.1), "loop": (0.1, 0.15)},
    **{"cloth": (0.15, 0.2), "video": (0.2, 1.0)},
}


class Service:
    """Raises Problems, which say what to answer."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        waiting = settings.workers // 2
        animating = settings.workers - waiting
        self.waited = Lane("waited", waiting, settings.waiting, command(settings, waiting, 5))
        self.animations = Lane("animations", animating, settings.queue, command(settings, animating, 15))
        self.lanes = (self.waited, self.animations)
        self.progress: dict[str, tuple[str, int, int]] = {}  # of unfinished animations
        self.bytes_used = 0
        self.ending = False
        self.ended: Counter[tuple[str, str]] = Counter()  # scenes and animations, by their last state
        self._tasks: dict[str, Task] = {}  # of unfinished scenes and animations
        self._jobs: set[asyncio.Task[Any]] = set()
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._editing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # while somebody holds them

    async def start(self) -> None:
        """Begins to work, with what was left undone."""
        for path in self.store.orphans():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.waited.start()
        self._run(self._load_animations())
        for row in self.store.unfinished("scenes"):
            self._run(self._understand(row))
        for row in self.store.unfinished("animations"):
            self._run(self._animate(row))
        self._run(self._sweep())

    def hang_up(self) -> None:
        """Ends what is waited for; what is under way is done again after the next start."""
        self.ending = True
        for lane in self.lanes:
            lane.end()
        for events in self._watchers.values():
            for event in events:
                event.set()

    async def close(self) -> None:
        self.hang_up()
        for lane in self.lanes:
            await lane.ended()
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        self.store.close()

    async def _load_animations(self) -> None:
        """Their processes load once nobody waits for the others, or an animation for them: the way to the first look
        at a first photo takes all that two cores have."""
        calm = 0.0
        while calm < CALM and not self.animations.length:
            await asyncio.sleep(PAUSE)
            calm = calm + PAUSE if self.waited.idle else 0.0
        self.animations.start()

    # --- scenes

    def scene(self, id: str) -> Row:
        row = self.store.scene(id) if is_id(id) else None
        if row is None:
            raise not_found("scene")
        return row

    async def ready_scene(self, id: str) -> Row:
        """A scene that can be worked with, which is kept for longer now."""
        row = self.scene(id)
        if row["state"] == "failed":
            raise Problem(409, "SceneFailed", f"The scene could not be made: {row['problem']['detail']}")
        if row["state"] != "ready":
            raise Problem(409, "SceneNotReady", "The scene is still being made; wait until its state is ready.")
        expires = self._expiry()
        if expires - row["expires"] > TOUCH:
            await self.store.change("scenes", id, expires=expires)
        return row

    def require_room_for_scene(self) -> None:
        """Raises a 429 where no photo can be taken in now."""
        self.waited.require_room()
        if sum(self.store.count("scenes").values()) >= self.settings.scenes:
            raise full(f"the limit of kept scenes, {self.settings.scenes}, is reached")
        self.require_disk()

    async def add_scene(self, upload: Path, name: str, size: int, refine: int) -> str:
        """Takes over the file of an upload; the scene's id."""
        self.require_room_for_scene()
        id, now = new_id(), time.time()
        row = {
            **{"id": id, "state": "queued", "name": name, "size": size, "refine": refine, "classes": {}, "base": []},
            **{"edits": [], "version": 0, "created": now, "expires": self._expiry()},
        }
        upload.rename(self.store.upload(id))
        try:
            await asyncio.to_thread(flushed, self.store.upload(id))
            await self.store.insert("scenes", row)
        except Exception:  # and not where only the waiting ends: the row may come yet
            _remove(self.store.upload(id))
            raise
        self._run(self._understand(row))
        return id

    async def _understand(self, row: Row) -> None:
        id = row["id"]
        upload, cine = self.store.upload(id), self.store.cine(id)
        facts = {"scene": id, "upload": str(upload), "cine": str(cine)}
        asked = {"task": "scene", **facts, "most": self.settings.size}
        asked |= {name: row[name] for name in ("name", "size", "refine")}

        def started() -> None:
            self._run(self.store.change("scenes", id, state="running"))

        task = Task(asked, self.settings.scene_seconds, PATIENCE, started)
        with self._under_way(id, task):
            try:
                found = await self.waited.submit(task).answer
                edits = [{"id": number, **edit} for number, edit in enumerate(found["base"])]
                ended = {"state": "ready", "edits": edits, **found}
            except Problem as problem:
                ended = {"state": "failed", "problem": problem.json}
            except (Ending, Cancelled):  # cancelled by whoever deletes the scene now
                return
            await self.store.change("scenes", id, expires=self._expiry(), **ended)
            self.ended["scenes", ended["state"]] += 1
            _remove(upload)

    async def delete_scene(self, id: str) -> None:
        """With all that is still to be made of it."""
        self.scene(id)
        for row in self.store.animations_of(id):
            await self.delete_animation(row["id"])
        if id in self._tasks:
            self.waited.cancel(self._tasks[id])
            await self.changed(id, until=lambda: id not in self._tasks)
        await self.store.delete("scenes", id)
        _remove(self.store.cine(id), self.store.upload(id))
        self._changed(id)

    async def edit_scene(self, id: str, asked: list[dict[str, Any]]) -> Row:
        """Replaces the edits of a scene; all of them or, where one is impossible, none."""
        lock = self._editing.setdefault(id, asyncio.Lock())
        async with lock:
            row = await self.ready_scene(id)
            edits = _numbered(asked, row)
            found = await self.wait_for(self.scene_task(row | {"edits": edits}, "edit"))
            await self.store.change("scenes", id, edits=edits, version=row["version"] + 1, **found)
        return self.scene(id)

    def scene_task(self, row: Row, task: str, **options: Any) -> Task:
        """A task on a scene with its edits."""
        return Task(self._asked(row, row["edits"], row["id"]) | {"task": task, **options}, self.settings.wait_seconds)

    async def made(self, row: Row, task: str, ending: str, **options: Any) -> Path:
        """The file that a task on a scene makes, for whoever waits; the caller removes it."""
        output = self.store.temporary(ending)
        doing = self.scene_task(row, task, output=str(output), **options)
        try:
            await self.wait_for(doing)
        except BaseException:
            doing.answer.add_done_callback(lambda _: _remove_all(output))  # it may be written yet
            raise
        return output

    async def wait_for(self, task: Task) -> dict[str, Any]:
        """The answer to a task that somebody waits for; when nobody does any more it is cancelled."""
        self.waited.require_room()
        self.waited.submit(task)
        try:
            async with asyncio.timeout(2 * self.settings.wait_seconds):
                return await asyncio.shield(task.answer)
        except TimeoutError:
            raise of_error("TookTooLong", "Others took too long to let this go; try again later.") from None
        except Cancelled:
            raise of_error("Cancelled", "The work was cancelled.") from None
        except Ending:
            raise of_error("NotReady", "The service is ending; try again when it is back.") from None
        finally:
            if not task.answer.done():
                self.waited.cancel(task)
                task.answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    # --- animations

    def animation(self, id: str) -> Row:
        row = self.store.animation(id) if is_id(id) else None
        if row is None:
            raise not_found("animation")
        return row

    async def add_animation(self, asked: dict[str, Any], key: str | None) -> Row:
        """Queues an animation, once for each key, which is on the disk then."""
        if key is not None and (row := self.store.animation_of_key(key)):
            if row["asked"] != asked:
                detail = "This Idempotency-Key came with another request before; use a new key for a new request."
                raise Problem(422, "KeyUsedBefore", detail)
            return row
        scene = await self.ready_scene(asked["scene"])
        self._check(asked)
        self.animations.require_room()
        self.require_disk()
        row = {
            **{"id": new_id(), "scene": scene["id"], "state": "queued", "format": asked["format"]},
            **{"name": scene["name"], "asked": asked, "edits": scene["edits"], "key": key},
            **{"created": time.time(), "expires": self._expiry()},
        }
        try:
            await self.store.insert("animations", row)
        except sqlite3.IntegrityError:  # the same key, at the same moment
            return await self.add_animation(asked, key)
        self._run(self._animate(row))
        return self.animation(row["id"])

    async def _animate(self, row: Row) -> None:
        id, scene = row["id"], self.store.scene(row["scene"])
        output = self.store.result(id, row["format"])
        _remove_all(output)  # what an attempt has left that was under way at a crash
        if scene is None:  # deleted at the moment it was asked for
            await self.store.change("animations", id, state="cancelled", finished=time.time())
            return
        asked = self._asked(scene, row["edits"], row["scene"]) | row["asked"]
        asked |= {"task": "animate", "scene": row["scene"], "output": str(output)}

        def started() -> None:
            self.progress[id] = ("motion", 0, 1)
            self._run(self.store.change("animations", id, state="running", started=time.time()))
            self._changed(id)

        def told(*progress: Any) -> None:
            self.progress[id] = progress
            self._changed(id)

        task = Task(asked, self.settings.animation_seconds, started=started, progress=told)
        with self._under_way(id, task):
            try:
                found = await self.animations.submit(task).answer
                ended = {"state": "done", **found}
            except Problem as problem:
                ended = {"state": "failed", "problem": problem.json}
            except Ending:
                return
            except Cancelled:
                ended = {"state": "cancelled"}
            if ended["state"] != "done":
                _remove_all(output)
            ended |= {"finished": time.time(), "expires": self._expiry(), "edits": []}  # which nobody needs any more
            await self.store.change("animations", id, **ended)
            self.ended["animations", ended["state"]] += 1

    async def delete_animation(self, id: str) -> Row | None:
        """Cancels what is not finished: the job; removes what is: None."""
        row = self.animation(id)
        if id in self._tasks:
            self.animations.cancel(self._tasks[id])
            await self.changed(id, until=lambda: id not in self._tasks)
            row = self.animation(id)
            if row["state"] == "cancelled":  # and not finished just before
                return row
        await self.store.delete("animations", id)
        _remove(self.store.result(id, row["format"]))
        return None

    def _check(self, asked: dict[str, Any]) -> None:
        """Raises a 422 for what can be told before the work."""
        self.check_loop(asked)
        if asked["repeat"] > self.settings.repeat:
            raise _beyond(f"repeat is at most {self.settings.repeat} here")
        name = "x" if asked["format"] == "zip" else f"x.{asked['format']}"
        options = {name: asked[name] for name in ("fps", "quality", "codec", "repeat", "crop")}
        try:
            check_output(self.store.folder / "tmp" / name, **options)
            if asked["format"] == "html":
                check_live(asked["warp"], asked["sampling"])
        except StylecineError as error:
            raise of_error(type(error).__name__, str(error)) from None

    def check_loop(self, asked: dict[str, Any]) -> None:
        """Raises a 422 for a loop that is longer than allowed, and for a wind that there is not."""
        try:
            options = RenderOptions(**{name: asked[name] for name in OPTIONS if name in asked})
        except StylecineError as error:
            raise of_error(type(error).__name__, str(error)) from None
        if options.seconds > self.settings.seconds or options.period > self.settings.frames:
            raise _beyond(f"a loop has at most {self.settings.seconds:g} s and {self.settings.frames} frames here")

    # --- whoever watches

    async def changes(self, id: str) -> AsyncGenerator[None]:
        """Comes by at once, and whenever a scene or an animation may have changed, at least every 15 s."""
        event = asyncio.Event()
        self._watchers[id].add(event)
        try:
            while not self.ending:
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
        """Waits until something is so, or the service ends."""
        async with aclosing(self.changes(id)) as changes:
            async for _ in changes:
                if until():
                    return

    def share(self, row: Row) -> tuple[str, int, int, float]:
        """Stage, steps done and in all, and share of the whole of an animation."""
        if row["state"] == "done":
            return "done", 1, 1, 1.0
        began = "queued" if row["state"] == "running" else row["state"]
        stage, done, total = self.progress.get(row["id"], (began, 0, 1))
        begin, end = STAGES.get(stage, (0.0, 0.0))
        return stage, done, total, min(1.0, begin + (end - begin) * done / max(1, total))  # 0.2 + 0.8 is above 1

    def _changed(self, id: str) -> None:
        for event in self._watchers.get(id, ()):
            event.set()

    # --- below

    @contextmanager
    def _under_way(self, id: str, task: Task) -> Iterator[None]:
        """Meanwhile the task of a scene or an animation can be cancelled."""
        self._tasks[id] = task
        try:
            yield
        finally:
            del self._tasks[id]
            self.progress.pop(id, None)
            self._changed(id)

    def _asked(self, scene: Row, edits: list[dict[str, Any]], id: str) -> dict[str, Any]:
        """What a worker has to know of a scene; edits that its file has are told by number."""
        known = len(scene["base"])
        specs = [
            {"base": edit["id"]} if edit["id"] < known else {name: edit[name] for name in edit if name != "id"}
            for edit in edits
        ]
        return {"scene": id, "cine": str(self.store.cine(id)), "edits": specs}

    def _run(self, work: Any) -> None:
        job = asyncio.ensure_future(work)
        self._jobs.add(job)
        job.add_done_callback(self._over)

    def _over(self, job: asyncio.Task[Any]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()):  # no disk any more, say; a new start does it again
            LOG.error("Work was left undone: %s", error, exc_info=error)

    def _expiry(self) -> float:
        return time.time() + 3600 * self.settings.keep_hours

    def require_disk(self) -> None:
        """Raises a 429 where the disk has no room."""
        used, free = self.bytes_used, shutil.disk_usage(self.store.folder).free
        if used > 1e6 * self.settings.disk_mb or free < FREE:
            raise full("there is no room left on the disk")

    async def _sweep(self) -> None:
        while True:
            try:
                await self._remove_expired()
                self.bytes_used = await asyncio.to_thread(self.store.bytes_used)
            except Exception:  # the next round may do better
                LOG.exception("What has expired could not be removed.")
            await asyncio.sleep(min(SWEEP, 900 * self.settings.keep_hours))

    async def _remove_expired(self) -> None:
        delete = {"animations": self.delete_animation, "scenes": self.delete_scene}
        for table in delete:
            for row in self.store.expired(table):
                with suppress(Problem):  # somebody was quicker
                    await delete[table](row["id"])
        await self.store.shrink()


def _numbered(asked: list[dict[str, Any]], row: Row) -> list[dict[str, Any]]:
    """Edits as they were asked for, each in full and with its number: that of the same edit, or a new one."""
    base = [{"id": number, **edit} for number, edit in enumerate(row["base"])]
    known = {edit["id"]: edit for edit in (*base, *row["edits"])}
    same: dict[str, list[int]] = defaultdict(list)  # what an edit says -> the numbers of those that say it
    for number in reversed(known):
        same[_said(known[number])].append(number)
    free = max(known, default=-1) + 1
    numbered: list[dict[str, Any]] = []
    taken: set[int] = set()
    for edit in asked:
        if "kind" not in edit:
            if edit["id"] not in known:
                raise Problem(422, "UnknownEdit", f"The scene has no edit {edit['id']}; send the edit itself.")
            edit = known[edit["id"]]
        else:
            numbers = same[_said(edit)]
            while numbers and numbers[-1] in taken:
                numbers.pop()
            number = numbers.pop() if numbers else free
            free = max(free, number + 1)
            edit = {**edit, "id": number}
        numbered.append(edit)
        taken.add(edit["id"])
    if len(taken) < len(numbered):
        raise Problem(422, "UnknownEdit", "An edit is named twice; name each once.")
    if sum(len(edit.get("stroke") or ()) for edit in numbered) > POINTS:
        raise _beyond(f"all strokes together have at most {POINTS} points here")
    return numbered


def _said(edit: dict[str, Any]) -> str:
    """The same for edits that differ in nothing but their number."""
    return json.dumps({name: value for name, value in edit.items() if name != "id"}, sort_keys=True)


def command(settings: Settings, processes: int, nice: int) -> list[str]:
    threads = max(1, (os.cpu_count() or 1) // processes)
    told = (settings.model, settings.device or "", str(threads), str(nice))
    return [sys.executable, "-m", "stylecine.server.worker", *told]


def full(why: str) -> Problem:
    return Problem(
        429, "StoreFull", f"Nothing more can be taken in, because {why}; try again later.", {"Retry-After": "60"}
    )


def _beyond(what: str) -> Problem:
    return Problem(422, "BeyondLimits", f"This is more than allowed: {what}.")


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_all(output: Path) -> None:
    """An output and what an attempt at it may have left beside it."""
    remove_stale_temp(output)
    for path in output.parent.glob(f"{output.stem}*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
