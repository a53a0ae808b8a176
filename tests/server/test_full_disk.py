"""A service whose disk has no byte left: what still works, what is refused and how, and what goes on afterwards."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stylecine.errors import DiskFull, OutputError
from stylecine.server.problems import disk_full, problem_of
from stylecine.server.store import Store
from tests.server.conftest import Served, SmallDisk, wait_until

NO_ROOM = "There is no room left on the service's disk; try again later."


def ended(served: Served, path: str) -> bool:
    return served.client.get(path).status_code == 404


def test_what_needs_no_room_works_and_the_rest_is_refused_in_a_sentence(
    serve: Callable[..., Served], small_disk: SmallDisk
) -> None:
    served = serve(data=small_disk.folder)
    scene, *others = (served.scene()["id"] for _ in range(3))
    job = served.finished(served.animation(scene, seconds=0.1)["id"])
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/scenes", {"content": b"a photo"}),
        ("POST", f"/v1/scenes/{scene}/styles", {"content": b"a photo"}),
        ("PATCH", f"/v1/scenes/{scene}", {"json": {"edits": []}}),
        ("GET", f"/v1/scenes/{scene}/preview", {}),
        ("POST", "/v1/animations", {"json": {"scene": scene}}),
    ]
    for left in (17_000_000, 4096, 0):
        small_disk.fill(but=left)
        for method, path, body in requests:
            response = served.client.request(method, path, **body)
            if left > 16_000_000:
                assert response.status_code == (429 if method == "POST" else 200), response.text
            else:
                assert (response.status_code, response.json()["detail"]) == (507, NO_ROOM), response.text
                assert int(response.headers["retry-after"]) > 0
        if left > 16_000_000:  # but not enough for all of this file
            response = served.client.get(f"/v1/scenes/{scene}/wind?size=8192")
            assert (response.status_code, response.json()["detail"]) == (507, NO_ROOM), response.text
    assert shutil.disk_usage(small_disk.folder).free == 0
    wait_until(lambda: served.files() == {f"{scene}.cine", *(f"{id}.cine" for id in others), f"{job['id']}.mp4"})
    assert served.client.get("/health").status_code == 200
    assert served.client.get(f"/v1/scenes/{scene}").json()["state"] == "ready"
    assert len(served.client.get(f"/v1/animations/{job['id']}/result").content) == 1000
    for path in (f"/v1/animations/{job['id']}", *(f"/v1/scenes/{id}" for id in (scene, *others))):
        assert served.client.delete(path).status_code == 204
        assert ended(served, path)
    assert not served.files() and "Traceback" not in served.log()


@pytest.mark.slow
def test_what_expires_goes_although_the_disk_is_full(serve: Callable[..., Served], small_disk: SmallDisk) -> None:
    served = serve(data=small_disk.folder, keep_hours=3 / 3600, sweep=0.2)
    scene = served.scene()["id"]
    done = served.finished(served.animation(scene, seconds=0.1)["id"])["id"]
    waiting = served.animation(scene, seconds=10)["id"]
    small_disk.fill()
    for path in (f"/v1/animations/{done}", f"/v1/animations/{waiting}", f"/v1/scenes/{scene}"):
        wait_until(lambda path=path: ended(served, path))  # type: ignore[misc]
    wait_until(lambda: not served.files())


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_service_starts_on_a_full_disk_and_goes_on_when_there_is_room(
    serve: Callable[..., Served], small_disk: SmallDisk, end: signal.Signals
) -> None:
    one = serve(data=small_disk.folder)
    scene = one.scene()["id"]
    job, deleted = (one.animation(scene, seconds=20)["id"] for _ in range(2))
    waiting = one.scene(b"slow", wait=0)["id"]
    small_disk.fill()
    one.end(end)
    small_disk.fill()
    two = serve(data=one.data, sweep=0.2)
    assert two.client.get("/health").status_code == 200 and shutil.disk_usage(small_disk.folder).free == 0
    assert two.client.delete(f"/v1/animations/{deleted}").status_code in (200, 204)
    assert two.client.get(f"/v1/animations/{job}").json()["state"] in ("queued", "running")
    small_disk.empty()
    (one.data / "uploads" / waiting).write_bytes(b"a photo")
    assert two.finished(job)["state"] == "done"
    wait_until(lambda: two.client.get(f"/v1/scenes/{waiting}").json()["state"] == "ready")


@pytest.mark.slow
def test_work_that_finds_the_disk_full_is_done_when_there_is_room(
    serve: Callable[..., Served], small_disk: SmallDisk
) -> None:
    served = serve(data=small_disk.folder, sweep=0.2)
    scene = served.scene()["id"]
    job = served.animation(scene, seconds=10)["id"]
    wait_until(lambda: served.client.get(f"/v1/animations/{job}").json()["state"] == "running")
    small_disk.fill()
    wait_until(lambda: "work waits until there is room" in served.log())
    assert served.client.get(f"/v1/animations/{job}").json()["state"] in ("queued", "running")
    small_disk.empty()
    assert served.finished(job)["state"] == "done"
    assert len(served.client.get(f"/v1/animations/{job}/result").content) == 1000


def test_a_new_folder_on_a_full_disk_is_refused_in_a_sentence(small_disk: SmallDisk) -> None:
    small_disk.fill()
    with pytest.raises(OutputError, match="free some room on its disk"):
        Store(small_disk.folder / "data")


def test_a_worker_that_finds_the_disk_full_gives_a_507() -> None:
    assert problem_of(DiskFull(NO_ROOM)).status == disk_full().status == 507


def test_the_database_keeps_its_room_after_the_service_has_ended(tmp_path: Path) -> None:
    Store(tmp_path).close()
    journal = tmp_path / "store.sqlite-wal"
    assert journal.stat().st_size > 4_000_000
    store = Store(tmp_path)
    assert store._free_pages() > 1000
    store.close()
    assert journal.stat().st_size > 4_000_000
