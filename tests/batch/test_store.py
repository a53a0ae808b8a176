"""Batches from and into object stores: the one of fsspec in memory, and one that speaks S3 on this machine."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

import stylecine
from stylecine import Animator
from stylecine.batch.journal import RECORDS, StoreJournal
from stylecine.batch.store import Store, StoredFile, is_url, without_secrets
from stylecine.batch.worker import animate_task
from stylecine.cli import main
from stylecine.commands.manifest import tasks_of
from stylecine.errors import OptionError, OutputError, PhotoError
from stylecine.machine.workers import Job

COMMON = {"mask": None, "motion": None, "style": None, "seconds": 1.0}
SMALL = ["--size", "64", "--seconds", "0.5", "--fps", "12", "--warp", "pixel", "--device", "cpu", "--processes", "1"]


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.rm("/", recursive=True)


def jpeg(photo: np.ndarray, quality: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return file.getvalue()


# --- URLs


def test_urls_are_told_from_paths() -> None:
    assert is_url("s3://bucket/a") and is_url("simplecache::memory://a".partition("::")[2])
    assert not is_url("C:\\photos") and not is_url("a/b://c") and not is_url("photos")
    assert without_secrets("s3://key:secret@bucket/a b.jpg") == "s3://bucket/a b.jpg"
    assert str(StoredFile("s3://key:secret@bucket/a.jpg")) == "s3://bucket/a.jpg"


def test_what_cannot_be_reached_is_named_without_secrets(memory: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^'nosuch://bucket' cannot be used .*; check address") as caught:
        Store("nosuch://user:secret@bucket")
    assert "secret" not in str(caught.value)
    with pytest.raises(PhotoError, match=r"'memory://in/gone\.jpg' cannot be used"):
        StoredFile("memory://in/gone.jpg").fetch(tmp_path)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(OptionError, match="'s3://bucket' needs another library: Install s3fs to access S3"):
        Store("s3://bucket")


# --- which photos


def test_photos_of_a_store_are_found_as_in_a_folder(memory: Any) -> None:
    hidden = (".hidden.jpg", ".batch/d.jpg", "@eaDir/b.JPG/thumb.jpg", "out/e.png")
    for name in ("b.JPG", "b.nef", "a.heic", "notes.txt", "day 1/c.png", *hidden):
        memory.pipe_file(f"/in/{name}", b"x")
    tasks, skipped = tasks_of(Store("memory://in"), Store("memory://in/out"), ".webm", COMMON)
    assert [(str(task.photo), task.output) for task in tasks] == [
        ("memory://in/a.heic", "a.webm"),
        ("memory://in/b.JPG", "b.webm"),
        ("memory://in/day 1/c.png", "day 1/c.webm"),
    ]
    assert skipped == ["b.nef", "notes.txt"]
    with pytest.raises(PhotoError, match="no photos in 'memory://empty'"):
        tasks_of(Store("memory://empty"), Store("memory://out"), ".mp4", COMMON)
    with pytest.raises(OutputError, match=r"'memory://in/b\.JPG' is an input of the batch"):
        memory.pipe_file("/in/photos.csv", b"photo,output\na.heic,b.JPG\nb.JPG,c.mp4\n")
        tasks_of(Store("memory://in/photos.csv"), Store("memory://in"), ".mp4", COMMON)


def test_a_manifest_here_or_there_names_photos_here_and_there(memory: Any, tmp_path: Path) -> None:
    rows = "photo,mask\nsea.jpg,\nmemory://other/lake.jpg,memory://other/mask.png\n"
    memory.pipe_file("/in/photos.csv", rows.encode())
    there, _ = tasks_of(Store("memory://in/photos.csv"), tmp_path, ".mp4", COMMON)
    assert [str(task.photo) for task in there] == ["memory://in/sea.jpg", "memory://other/lake.jpg"]
    (tmp_path / "photos.csv").write_text(rows)
    here, _ = tasks_of(tmp_path / "photos.csv", Store("memory://out"), ".mp4", COMMON)
    assert [task.photo for task in here] == [tmp_path / "sea.jpg", StoredFile("memory://other/lake.jpg")]
    assert here[1].files["mask"] == StoredFile("memory://other/mask.png")
    with pytest.raises(PhotoError, match=r"'memory://in/gone\.csv' cannot be used"):
        tasks_of(Store("memory://in/gone.csv"), tmp_path, ".mp4", COMMON)


def test_another_content_has_another_version(memory: Any) -> None:
    memory.pipe_file("/in/a.jpg", b"one")
    first = StoredFile("memory://in/a.jpg").version
    assert StoredFile("memory://in/a.jpg").version == first
    ((_, listed),) = Store("memory://in").visible()
    assert listed.version == first
    memory.pipe_file("/in/a.jpg", b"two")
    assert StoredFile("memory://in/a.jpg").version != first


def test_a_file_may_be_fetched_by_several_threads_at_once(memory: Any, tmp_path: Path) -> None:
    """As a mask is that several photos of a manifest share."""
    memory.pipe_file("/in/mask.png", content := bytes(range(256)) * 200)
    with ThreadPoolExecutor(4) as threads:
        copies = threads.map(lambda n: StoredFile("memory://in/mask.png").fetch(tmp_path / str(n)), range(200))
        assert all(copy.read_bytes() == content for copy in copies)


# --- records


def test_records_are_objects_of_their_own(memory: Any) -> None:
    with StoreJournal(Store("memory://out")) as journal:
        journal.add({"output": "a/ü.mp4", "state": "failed", "photo": "a.jpg", "kind": "PhotoError", "error": "no"})
        journal.add({"output": "b.mp4", "state": "failed", "photo": "b.jpg", "kind": "PhotoError", "error": "no"})
    memory.pipe_file(f"/out/{RECORDS}/odd.json", b"<script>")
    memory.pipe_file("/out/a/ü.mp4", b"1234")
    again = StoreJournal(Store("memory://out"))
    assert sorted(again.records) == ["a/ü.mp4", "b.mp4"]
    assert again.size_of("a/ü.mp4") == 4 and again.size_of("b.mp4") is None


# --- the command


class OneByOne:
    """Stands in for the processes of a batch: photos are animated in this one."""

    count = 1

    def __init__(self, count: int, folder: Path, model: str, devices: Sequence[str]) -> None:
        self.folder, self.model = folder, model

    def __enter__(self) -> "OneByOne":
        self.animator = Animator.from_pretrained(self.model, "cpu")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, job: Job) -> Job:
        task = job.request
        job.attempts = 1
        job.set_result(animate_task(self.animator, task, self.folder / task.output, self.model))
        return job


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylecine.batch.local.LocalPool", OneByOne)


@pytest.fixture
def command(memory: Any, photo: np.ndarray, mask_file: Path, motion_file: Path, small_model: Path) -> list[str]:
    """Arguments for a batch of two photos and of a file that is none, in memory."""
    memory.pipe_file("/in/a.jpg", jpeg(photo))
    memory.pipe_file("/in/b/a.jpg", jpeg(photo[:, ::-1]))
    memory.pipe_file("/in/c.jpg", b"no photo")
    memory.pipe_file("/in/mask.png", mask_file.read_bytes())
    motion = motion_file.as_uri()
    rows = [f"{name}.jpg,mask.png,{motion},{name}" for name in ("a", "b/a", "c")]
    memory.pipe_file("/in/photos.csv", "\n".join(["photo,mask,motion,output", *rows]).encode())
    return ["batch", "memory://in/photos.csv", "-o", "memory://out", "--json", "--model", str(small_model), *SMALL]


def done(command: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """New and failed photos of a run."""
    capsys.readouterr()
    status = main(command)
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert status == (2 if report["failed"] else 0), captured.err
    return report["new"], report["failed"]


@pytest.mark.usefixtures("here")
def test_a_batch_goes_from_store_to_store_and_resumes(
    memory: Any, command: list[str], photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    captured = capsys.readouterr()
    assert "memory://in/c.jpg" in captured.err and json.loads(captured.out)["new"] == 3
    names = {path.removeprefix("/out/") for path in memory.find("/out")}
    assert {"a.mp4", "b/a.mp4", "report.json", "report.html"} <= names and "c.mp4" not in names
    assert memory.cat("/out/a.mp4")[4:8] == b"ftyp"
    assert json.loads(memory.cat("/out/report.json"))["results"][0]["photo"] == "memory://in/a.jpg"

    assert done(command, capsys) == (1, 1), "only what failed is tried again"
    memory.pipe_file("/in/c.jpg", jpeg(photo, 50))
    memory.pipe_file("/in/a.jpg", jpeg(photo, 60))
    memory.rm("/out/b/a.mp4")
    assert done(command, capsys) == (3, 0), "new, changed and missing ones"
    memory.pipe_file("/out/a.mp4", b"half")
    assert done(command, capsys) == (1, 0)
    assert memory.cat("/out/a.mp4")[4:8] == b"ftyp"


@pytest.mark.slow
def test_loops_of_a_stores_photos_can_be_kept_here(
    memory: Any, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command[3] = str(tmp_path / "out")
    assert done(command, capsys) == (3, 1)
    assert (tmp_path / "out/a.mp4").stat().st_size > 1000 and (tmp_path / "out/batch.jsonl").exists()
    assert done(command, capsys) == (1, 1)


@pytest.mark.usefixtures("here")
def test_a_loop_that_cannot_be_sent_fails_alone(
    memory: Any, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = Store.put

    def full(self: Store, file: Path, name: str) -> None:
        if name == "a.mp4":
            raise OutputError("'memory://out' cannot be used (quota); check address, credentials and network.")
        put(self, file, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", full)
        assert done(command, capsys) == (3, 2)
    assert not memory.exists("/out/a.mp4") and memory.exists("/out/b/a.mp4")
    assert done(command, capsys) == (2, 1)


# --- S3


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A bucket of a server on this machine, found by what fsspec and S3's libraries read."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        **{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"},
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("bucket")
        yield fs
    server.stop()


@pytest.mark.slow
def test_a_batch_that_is_killed_goes_on_where_it_was(
    s3: Any, photo: np.ndarray, mask_file: Path, motion_file: Path, small_model: Path
) -> None:
    for number in range(6):
        s3.pipe_file(f"bucket/in/{number}.jpg", jpeg(photo, 60 + number))
    rows = "".join(f"{number}.jpg,{mask_file.as_uri()},{motion_file.as_uri()}\n" for number in range(6))
    s3.pipe_file("bucket/in/photos.csv", f"photo,mask,motion\n{rows}".encode())
    command = ["batch", "s3://bucket/in/photos.csv", "-o", "s3://bucket/out", "--json"]
    command += ["--model", str(small_model), *SMALL]
    code = "import sys; from stylecine.cli import main; sys.exit(main(sys.argv[1:]))"
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}

    def loops() -> list[str]:
        s3.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return [path for path in s3.find("bucket/out") if path.endswith(".mp4")]
        return []

    started = subprocess.Popen([sys.executable, "-c", code, *command], env=place, start_new_session=True)
    end = time.monotonic() + 120
    while len(loops()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(started.pid, 9)
    started.wait()
    before = len(loops())
    assert before >= 2
    finished = subprocess.run([sys.executable, "-c", code, *command], env=place, capture_output=True, check=False)
    assert finished.returncode == 0, finished.stderr.decode()
    assert len(loops()) == 6 and json.loads(finished.stdout)["new"] <= 6 - before + 1
    for path in loops():
        assert s3.cat(path)[4:8] == b"ftyp"


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    s3.pipe_file("bucket/in/a.jpg", b"x")
    assert main(["batch", "s3://bucket/in", "-o", "s3://nosuch/out", *SMALL]) == 2
    assert "'s3://nosuch/out' cannot be used" in capsys.readouterr().err
