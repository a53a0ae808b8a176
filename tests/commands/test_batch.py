"""stylecine batch, as people run, interrupt and kill it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

import stylecine
from stylecine.batch.journal import Journal
from stylecine.cli import main
from stylecine.commands import batch

PLACE = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
SLOW = ["--seconds", "140"]  # of a loop whose rendering takes many seconds


@pytest.fixture
def command(tmp_path: Path, photo: np.ndarray, mask_file: Path, motion_file: Path, small_model: Path) -> list[str]:
    """Arguments for a batch of a photo and of a file that is none, into the folder out."""
    Image.fromarray(photo).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no photo")
    manifest = tmp_path / "photos.csv"
    manifest.write_text(f"photo,mask,motion\na.png,{mask_file},{motion_file}\nb.png,,\n")
    options = ["--model", str(small_model), "--device", "cpu", "--processes", "1", "--warp", "pixel", "--fps", "12"]
    return ["batch", str(manifest), "-o", str(tmp_path / "out"), *options]


def started(command: list[str], *more: str) -> "subprocess.Popen[str]":
    """In a process group of its own, as a shell does it, so that all of it can be sent a signal."""
    code = "import sys; from stylecine.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *command, *more],
        env=PLACE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def until(holds: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.02)


def state(out: Path) -> dict[str, str]:
    return {line["output"]: line["state"] for line in map(json.loads, (out / "batch.jsonl").read_text().splitlines())}


def test_the_bar_counts_photos_that_fail_before_the_workers_start(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]

    class Bar(tqdm):  # type: ignore[type-arg]
        def display(self, *_: Any, **__: Any) -> None:
            drawn.append((self.n, self.total))

    monkeypatch.setattr("tqdm.tqdm", partial(Bar, file=terminal, mininterval=0))
    monkeypatch.setattr(batch, "complain", lambda *_: 2)
    monkeypatch.setattr("tqdm.tqdm.external_write_mode", lambda _: nullcontext(), raising=False)
    record = {"state": "failed", "photo": "pipe.jpg", "error": "'pipe.jpg' is not a regular file."}
    with closing(batch._Bar()) as bar:
        bar.report(record)
        bar.expect(2)
        bar.report({"state": "done"})
        bar.report({"state": "done"})
    assert drawn[-1] == (3, 3) and bar.done == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_interrupted_killed_and_run_again(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def being_written() -> bool:
        return any(out.glob(".stylecine-*/a.mp4"))  # not the empty folder of the check before

    with started(command, *SLOW) as run:
        until(being_written)
        os.killpg(run.pid, signal.SIGINT)
        _, told = run.communicate(timeout=60)
    assert run.returncode == 130
    assert told == "stylecine: Interrupted; nothing half-written is left. Run the command again.\n"
    assert os.listdir(out) == ["batch.jsonl"] and state(out) == {}

    with started(command, *SLOW) as run:
        until(being_written)
        run.kill()
        until(lambda: os.listdir(out) == ["batch.jsonl"])  # its worker notices

    with started(command, "--seconds", "1") as run:
        _, told = run.communicate(timeout=60)
    assert run.returncode == 2
    assert told.splitlines() == [
        f"stylecine: '{tmp_path / 'b.png'}' cannot be read as an image; save it as JPEG or PNG and try again.",
        f"stylecine: 1 of 2 photos have no loop; {out / 'report.html'} says why.",
    ]
    assert state(out) == {"a.mp4": "done", "b.mp4": "failed"}
    assert set(os.listdir(out)) == {"a.mp4", "batch.jsonl", "report.html", "report.json"}


def test_finished_photos_need_no_worker(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_needed(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("stylecine.batch.tasks._is_done", lambda *_: True)
    monkeypatch.setattr("stylecine.batch.local.LocalPool", none_needed)
    failed = {"state": "failed", "kind": "PhotoError", "error": "It is empty."}
    with Journal(tmp_path / "out") as journal:
        for name in ("a", "b"):
            journal.add({"output": f"{name}.mp4", "photo": f"{name}.png"} | failed)
    assert main([*command, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["photos"], told["new"], told["failed"]) == (2, 0, 2)
    assert told["report"] == str(tmp_path / "out/report.html") and Path(told["report"]).is_file()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--processes", "0"], "--processes takes a whole number from 1 to 1024"),
        *((["--format", name], f"--format: '{name}' is not one of mp4, webm, ") for name in ("jpg", "", "livephoto")),
        (["--format", "html", "--warp", "dfw"], "a.png: A live loop is gathered"),
        (["--format", "MP.jpg", "--duration", "1m"], "Phones expect"),
        (["--duration", "soon"], "like 90s, 10m or 1h30m"),
        (["--seconds", "0"], "seconds must be a number above 0"),
        (["--size", "9"], "size 9 is too small"),
        (["--crop", "wide"], "a.png: "),
        (["--style-drift"], "a.png: --style-drift goes from the photo to a style and back; give a style"),
        (["--style", "dusc"], "There is no style 'dusc'; did you mean dusk?"),
        (["--format", "png", "--quality", "3"], ".png is lossless"),
        (["--model", "nosuch"], "There is no model or file 'nosuch'"),
        (["--device", "cpu:9"], "Device 'cpu:9' does not exist"),
    ],
)
def test_impossible_options_are_refused_before_any_work(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert main([*command, *more]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_row_that_would_be_two_files_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos.csv").write_text("photo,output\na.png,a.livephoto\n")
    assert main(command) == 2
    assert "a.png: 'a.livephoto' would be two files; use livephoto.zip" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_skipped_is_named_and_counted(
    command: list[str], tmp_path: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "sea.jfif", "JPEG")
    (folder / "notes.txt").touch()
    (folder / "sea.xmp").touch()
    command[1] = str(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stylecine.batch.tasks._is_done", lambda *_: True)  # nothing is made
        with Journal(tmp_path / "out") as journal:
            journal.add({"output": "sea.mp4", "photo": "sea.jfif", "state": "failed", "kind": "x", "error": "It is."})
        main(command)
        told = capsys.readouterr()
    assert "stylecine: 2 entries that are no photos were skipped: notes.txt, sea.xmp\n" in told.err
    assert "1 photos, 0 new, 1 failed, 2 skipped, " in told.out
    assert json.loads((tmp_path / "out/report.json").read_text())["skipped"] == ["notes.txt", "sea.xmp"]


def test_two_runs_at_once(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(tmp_path / "out"):
        assert main(command) == 2
    assert "Another run is using" in capsys.readouterr().err
