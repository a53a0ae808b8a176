"""The store beside what it does not expect: restored backups, damaged files, and another program in its database."""

import os
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stylecine.server.store import Store
from tests.server.conftest import Served, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def fail_reason(served: Served, path: str) -> str:
    row = served.client.get(path).json()
    assert row["state"] == "failed", row
    return str(row["problem"]["detail"])


@pytest.mark.slow
def test_files_newer_than_a_restored_database_are_kept_for_theirs(serve: Callable[..., Served], tmp_path: Path) -> None:
    one = serve()
    database, older, newer = one.data / "store.sqlite", tmp_path / "older.sqlite", tmp_path / "newer.sqlite"
    old = one.scene()["id"]
    old_job = one.finished(one.animation(old, seconds=0.1)["id"])["id"]
    one.end()
    shutil.copy(database, older)
    two = serve(data=one.data)
    new = two.scene()["id"]
    job = two.finished(two.animation(new, seconds=0.1)["id"])["id"]
    two.client.delete(f"/v1/scenes/{old}")
    two.client.delete(f"/v1/animations/{old_job}")
    two.end()
    database.rename(newer)
    shutil.copy(older, database)  # and the journal is still there

    with_older = serve(data=one.data)
    assert with_older.files() == {f"{new}.cine.lost", f"{job}.mp4.lost"}
    assert re.search("2 files in '.*' have no row in store.sqlite", with_older.log())
    for path in (f"/v1/scenes/{old}", f"/v1/animations/{old_job}"):
        assert "file is missing" in fail_reason(with_older, path)
    assert with_older.client.get(f"/v1/scenes/{old}/photo").status_code == 409
    with_older.end()
    shutil.copy(newer, database)

    with_newer = serve(data=one.data)
    assert with_newer.client.get(f"/v1/scenes/{new}").json()["state"] == "ready"
    assert len(with_newer.client.get(f"/v1/animations/{job}/result").content) == 1000


def test_files_without_a_row_expire_so_long_after_they_were_found(tmp_path: Path) -> None:
    Store(tmp_path).close()
    scene = tmp_path / "scenes" / f"{22 * 'A'}.cine"
    scene.touch()
    os.utime(scene, (0, 0))
    lost = scene.with_name(f"{scene.name}.lost")
    for restart in range(3):
        store = Store(tmp_path)
        store.remove_lost(3600)
        assert lost.exists() and not scene.exists(), "it was found a moment ago"
        if restart < 2:
            store.close()
    found = lost.stat().st_mtime
    os.utime(lost, 2 * (found - 3599 + 60,))
    store.close()
    store = Store(tmp_path)
    store.remove_lost(3600)
    assert lost.exists(), "restarts count as little as anything else"
    os.utime(lost, 2 * (found - 3601,))
    store.remove_lost(3600)
    assert not lost.exists()
    store.close()


@pytest.mark.slow
def test_what_has_lost_its_file_is_not_ready_after_a_start(serve: Callable[..., Served]) -> None:
    one = serve()
    whole, missing, cut = (one.scene(content=1000 * b"a photo")["id"] for _ in range(3))
    done, shortened = (one.finished(one.animation(whole, seconds=0.1)["id"])["id"] for _ in range(2))
    one.end(signal.SIGKILL)
    (one.data / "scenes" / f"{missing}.cine").unlink()
    os.truncate(one.data / "scenes" / f"{cut}.cine", 500)
    os.truncate(one.data / "results" / f"{shortened}.mp4", 500)
    two = serve(data=one.data)
    for path in (f"/v1/scenes/{missing}", f"/v1/scenes/{cut}", f"/v1/animations/{shortened}"):
        assert "missing or" in fail_reason(two, path)
    assert two.client.get(f"/v1/animations/{shortened}/result").status_code == 409
    assert two.client.get(f"/v1/scenes/{whole}").json()["state"] == "ready"
    assert two.client.get(f"/v1/animations/{done}").json()["state"] == "done"


@pytest.mark.slow
def test_a_database_that_another_program_holds_is_said_to_be_busy(serve: Callable[..., Served]) -> None:
    served = serve()
    scene = served.scene()["id"]
    other = sqlite3.connect(served.data / "store.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for method, path, body in (
        ("POST", "/v1/animations", {"json": {"scene": scene}}),
        ("PATCH", f"/v1/scenes/{scene}", {"json": {"edits": []}}),
        ("POST", "/v1/scenes", {"content": b"a photo"}),
        ("DELETE", f"/v1/scenes/{scene}", {}),
    ):
        response = served.client.request(method, path, **body)  # type: ignore[arg-type]
        assert response.status_code == 503 and int(response.headers["retry-after"]) > 0, response.text
        assert response.json()["detail"].startswith("Another program holds the service's database")
    assert served.client.get(f"/v1/scenes/{scene}").json()["state"] == "ready"
    other.execute("COMMIT")
    assert served.client.delete(f"/v1/scenes/{scene}").status_code == 204
    other.close()
    assert "Traceback" not in served.log()
    wait_until(lambda: not served.files())
