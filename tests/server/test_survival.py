"""Workers that die, hang or take too long, and a service that is killed and restarted."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stylecine.errors import OutputError
from stylecine.server.store import Store
from tests.server.conftest import Served, wait_until, workers_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def starts(served: Served, scene: str) -> int:
    """How often animations of a scene were started."""
    path = served.data / f"{scene}.starts"
    return len(path.read_text().split()) if path.exists() else 0


def test_work_that_killed_a_worker_is_retried_but_not_forever(quick: Served) -> None:
    assert quick.scene(b"dies once")["state"] == "ready"
    response = quick.client.post("/v1/scenes", content=b"dies")
    assert response.status_code == 500 and "2 times" in response.json()["detail"]
    assert quick.scene()["state"] == "ready"


def test_the_first_loop_can_be_read_until_the_scene_is_ready(serve: Callable[..., Served]) -> None:
    quick = serve()
    first = quick.scene(b"slow", first=160, wait=0)["links"]["self"]
    response = quick.client.get(f"{first}/first")
    assert response.status_code == 200 and response.content == b"first 160"
    scene = quick.client.get(first).json()
    assert (scene["state"], scene["width"], scene["moving"]) == ("running", 96, 0.75)
    assert quick.client.get(f"{first}/live").status_code == 409
    assert quick.client.delete(first).status_code == 204 and quick.client.get(f"{first}/first").status_code == 404
    for content in (b"a photo", b"still"):
        ready = quick.scene(content, first=160)
        assert ready["state"] == "ready" and quick.client.get(f"{ready['links']['self']}/first").status_code == 204
        quick.client.delete(ready["links"]["self"])
    assert quick.client.post("/v1/scenes?first=160", content=b"bad").status_code == 422
    wait_until(lambda: quick.files() == set())


def test_a_browser_has_time_to_draw_the_first_loop(serve: Callable[..., Served]) -> None:
    """Only where there is one, and the scene may be deleted meanwhile."""
    quick = serve(drawn=5.0)
    first = quick.scene(first=160, wait=0)["links"]["self"]
    assert quick.client.get(f"{first}/first").content == b"first 160"
    still = quick.scene(b"still", first=160)
    assert still["state"] == "ready" and quick.client.get(first).json()["state"] == "running"
    for scene in (first, still["links"]["self"]):
        assert quick.client.delete(scene).status_code == 204
    wait_until(lambda: quick.files() == set())


@pytest.mark.slow
def test_the_first_loop_of_another_photo_does_not_wait_for_the_rest_of_one(serve: Callable[..., Served]) -> None:
    quick = serve()
    one = quick.scene(b"slow", first=160, wait=0)
    assert quick.client.get(f"{one['links']['self']}/first").status_code == 200
    two = quick.scene(b"slow", first=160, wait=0)
    assert quick.client.get(f"{two['links']['self']}/first", timeout=30).content == b"first 160"
    assert quick.client.get(one["links"]["self"]).json()["state"] == "running"
    for scene in (one, two):
        (quick.data / "uploads" / scene["id"]).write_bytes(b"a photo")
    three = quick.scene(first=160, wait=0)  # interrupts the first again, which is quick from now on
    for scene in (one, two, three):
        assert quick.client.get(scene["links"]["self"], params={"wait": 30}).json()["state"] == "ready"


@pytest.mark.slow
def test_a_scene_whose_first_loop_is_shown_outlives_the_service(serve: Callable[..., Served]) -> None:
    one = serve()
    link = one.scene(b"slow", first=160, wait=0)["links"]["self"]
    assert one.client.get(f"{link}/first").status_code == 200
    one.end(signal.SIGKILL)
    upload = one.data / "uploads" / Path(link).name
    upload.write_bytes(b"a photo")
    two = serve(data=one.data)
    wait_until(lambda: two.client.get(link).json()["state"] == "ready")
    assert two.files() == {f"{upload.name}.cine"}


@pytest.mark.slow
def test_a_job_outlives_its_worker(serve: Callable[..., Served]) -> None:
    served = serve()
    scene = served.scene()["id"]
    job = served.animation(scene, seconds=20)["id"]
    wait_until(lambda: starts(served, scene) == 1)
    for worker in workers_of(served):
        os.kill(worker, signal.SIGKILL)
    assert served.finished(job)["state"] == "done" and starts(served, scene) == 2
    assert 'stylecine_worker_restarts_total{pool="animations"} 1.0' in served.client.get("/metrics").text


def test_workers_that_read_nothing_do_not_stop_the_service(quick: Served) -> None:
    link = quick.scene()["links"]["self"]
    style = {"kind": "style", "name": "x", "strength": 1.0, "drift": False, "picture": 300_000 * "A"}
    for worker in workers_of(quick):
        os.kill(worker, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as thread:
            edit = thread.submit(quick.client.patch, link, json={"edits": [style]})
            wait_until(lambda: 'state="busy"} 1.0' in quick.client.get("/metrics", timeout=20).text)
            assert quick.client.get("/health", timeout=20).status_code == 200
            for worker in workers_of(quick):
                os.kill(worker, signal.SIGCONT)
            assert edit.result().status_code == 200
    finally:
        for worker in workers_of(quick):
            os.kill(worker, signal.SIGCONT)


def test_workers_forget_deleted_scenes(quick: Served) -> None:
    scene = quick.scene()["id"]
    quick.client.delete(f"/v1/scenes/{scene}")
    wait_until((quick.data / f"{scene}.forgotten").exists)


@pytest.mark.slow
def test_accepted_work_survives_a_restart(serve: Callable[..., Served]) -> None:
    served = serve()
    scene = served.scene(name="lake.jpg")["id"]
    done = served.finished(served.animation(scene, seconds=0.1)["id"])["id"]
    jobs = [served.animation(scene, seconds=15)["id"] for _ in range(3)]
    waiting = served.scene(b"slow", wait=0)
    assert waiting["state"] in ("queued", "running")
    wait_until(lambda: starts(served, scene) == 2)
    workers = workers_of(served)
    assert len(workers) == 2
    served.end(signal.SIGKILL)
    wait_until(lambda: not any(alive(worker) for worker in workers))
    (served.data / "tmp" / "left.part").touch()
    again = serve(data=served.data)
    assert again.client.get(f"/v1/animations/{done}/result").status_code == 200
    assert [again.finished(job)["state"] for job in jobs] == ["done"] * 3
    assert starts(again, scene) == 5, "the running one was started again, all others once"
    assert again.client.get(f"/v1/scenes/{waiting['id']}").json()["state"] in ("queued", "running")
    assert "left.part" not in again.files()
    assert again.client.delete(f"/v1/scenes/{waiting['id']}").status_code == 204
    assert again.end() == 0


def alive(process: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")


def test_the_service_stops_at_once_while_it_works(serve: Callable[..., Served]) -> None:
    served = serve()
    scene = served.scene()["id"]
    served.animation(scene, seconds=50)
    served.scene(b"slow", wait=0)
    workers = workers_of(served)
    assert served.end(signal.SIGINT) == 0
    assert not any(alive(worker) for worker in workers)


@pytest.mark.slow
def test_work_has_a_time_limit(serve: Callable[..., Served]) -> None:
    served = serve(animation_seconds=3, scene_seconds=3)
    scene = served.scene()["id"]
    job = served.finished(served.animation(scene, seconds=50)["id"])
    assert job["state"] == "failed" and "longer than 3 s" in job["problem"]["detail"]
    response = served.client.post("/v1/scenes", content=b"deaf")
    assert response.status_code == 503 and "longer than 3 s" in response.json()["detail"]
    assert served.scene()["state"] == "ready"


def test_a_disconnected_clients_work_is_cancelled(quick: Served) -> None:
    before = quick.files()
    client = HTTPConnection(urlsplit(quick.address).netloc)
    client.request("POST", "/v1/scenes", b"slow")
    wait_until(lambda: 'state="busy"} 1.0' in quick.client.get("/metrics").text)
    client.close()
    wait_until(lambda: quick.files() == before)
    assert quick.scene()["state"] == "ready"


def test_a_missing_model_is_reported(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", model="none")
    wait_until(lambda: "log says why" in served.client.get("/ready").text)
    assert "There is no model none" in (tmp_path / "data.stderr").read_text()
    response = served.client.post("/v1/scenes", content=b"a photo")
    assert response.status_code == 503 and response.json()["detail"] == "There is no model none; choose another."
    assert served.client.get("/health").status_code == 200 and not served.files()
    assert served.end() == 0


def test_two_services_never_share_a_folder(quick: Served, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Another service uses"):
        Store(quick.data)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be used"):
        Store(tmp_path / "file" / "data")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    thesis = tmp_path / "results" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.touch()
    with pytest.raises(OutputError, match="is not empty, and not a service's"):
        Store(tmp_path)
    assert thesis.exists() and [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_folder_whose_database_was_lost_is_refused_and_keeps_its_files(tmp_path: Path) -> None:
    Store(tmp_path).close()
    scene = tmp_path / "scenes" / "AAAAAAAAAAAAAAAAAAAAAA.cine"
    scene.touch()
    for database in tmp_path.glob("store.sqlite*"):
        database.unlink()
    (tmp_path / "store.sqlite").touch()
    with pytest.raises(OutputError, match="is empty; restore that together"):
        Store(tmp_path)
    assert scene.exists()


@pytest.mark.parametrize("page", [0, -1])
def test_a_damaged_database_is_refused_and_nothing_is_deleted(tmp_path: Path, page: int) -> None:
    """Of the pages with rows, the first or the last is damaged, in a copy without its journal."""
    store = Store(tmp_path)
    names = [f"{number:022}" for number in range(100)]
    for name in names:
        row = {"id": name, "state": "ready", "name": 300 * "x", "size": 64, "refine": 0, "classes": {}, "base": []}
        asyncio.run(store.insert("scenes", row | {"edits": [], "version": 0, "created": 0.0, "expires": 0.0}))
        store.cine(name).touch()
    store.close()
    (tmp_path / "store.sqlite-wal").unlink()
    with (tmp_path / "store.sqlite").open("rb+") as file:
        content = file.read()
        pages = [start for start in range(0, len(content), 4096) if 300 * b"x" in content[start : start + 4096]]
        file.seek(pages[page])
        file.write(random.Random(0).randbytes(4096))
    with pytest.raises(OutputError, match="is damaged"):
        Store(tmp_path)
    assert all(store.cine(name).exists() for name in names)


def test_a_file_that_cannot_be_removed_does_not_prevent_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Store(tmp_path).close()
    left = [tmp_path / "tmp" / name for name in ("a.part", "b.part", "c.part")]
    for path in left:
        path.touch()
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path: os.rmdir(path) if path == left[1] else unlink(path))
    Store(tmp_path).close()
    assert [path.exists() for path in left] == [False, True, False] and "b.part" in caplog.text


def test_a_link_among_its_files_is_removed_and_not_followed(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    Store(data).close()
    other.mkdir()
    (other / "thesis.txt").touch()
    (data / "uploads/link").symlink_to(other)
    (data / "uploads" / (22 * "A")).symlink_to(other / "thesis.txt")
    Store(data).close()
    assert not list((data / "uploads").iterdir()) and (other / "thesis.txt").exists()


def test_its_files_are_private_to_their_owner(tmp_path: Path) -> None:
    Store(tmp_path).close()
    Store(tmp_path).close()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.name != "lock"} == {0}
