"""Ctrl-C, SIGTERM, kill -9 and a full disk, in real processes: one line, no partial files, old files intact."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stylecine
from stylecine.errors import WriterUnavailable
from stylecine.machine.interrupts import Interrupts
from stylecine.output.formats import Folder, Still, format_of
from stylecine.output.writing import check_output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

MORE_OUTPUTS = ["loop.webm", "loop.gif", "loop.webp", "loop.png"]  # one of each way of writing
OUTPUTS = ["loop.mp4", "frames", *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_OUTPUTS)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
MESSAGE = "stylecine: Interrupted; nothing half-written is left. Run the command again.\n"

# Writes frames of noise as the command does, without PyTorch; {action} runs before the fourth frame.
WRITER = """
import os, resource, signal, sys
from collections.abc import Sequence
from unittest.mock import patch
import numpy as np
from stylecine import cli
from stylecine.output import gif
from stylecine.output.formats import Still, format_of
from stylecine.output.writing import check_output, write_output

class Noise(Sequence):
    def __len__(self):
        return 12
    def __getitem__(self, k):
        if k == len(self):
            raise IndexError
        if k == 3 or isinstance(format_of("{output}"), Still):
            {action}
        return np.random.default_rng(k).integers(0, 256, (64, 64, 3), np.uint8)

def run(options, start):
    check_output("{output}")
    write_output(Noise(), "{output}", 10)
    return 0

gif.CELL, gif.PALETTE_FRAMES = 16, 3
with patch("stylecine.commands.doctor.run", run):
    sys.exit(cli.main(["doctor"]))
"""


def accept_sigint() -> None:
    """Runs in a child before it starts: a script's background processes, and their children, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_writer(folder: Path, output: str, action: str = "pass") -> subprocess.CompletedProcess[str]:
    code = WRITER.format(output=output, action=action)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=accept_sigint,
    )


@pytest.fixture(params=OUTPUTS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    try:
        check_output(tmp_path / request.param)
    except WriterUnavailable:
        pytest.skip("the installed libraries have no encoder for it")
    return str(request.param)


def older(folder: Path, output: str) -> dict[str, bytes]:
    """Writes an older file, which has to survive; returns the content of the folder."""
    if not isinstance(format_of(output), Folder):
        (folder / output).write_bytes(b"an older loop")
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ctrl_c_leaves_no_partial_file(tmp_path: Path, output: str) -> None:
    """Pressed twice, impatiently."""
    before = older(tmp_path, output)
    run = run_writer(tmp_path, output, "os.kill(os.getpid(), signal.SIGINT), os.kill(os.getpid(), signal.SIGINT)")
    assert (run.returncode, run.stdout, run.stderr) == (130, "", MESSAGE)
    assert content(tmp_path) == before and len(os.listdir(tmp_path)) == len(before)


def test_the_next_run_removes_the_leftovers_of_kill_9(tmp_path: Path, output: str) -> None:
    before = older(tmp_path, output)
    assert run_writer(tmp_path, output, "os.kill(os.getpid(), signal.SIGKILL)").returncode == -signal.SIGKILL
    assert {name: data for name, data in content(tmp_path).items() if not name.startswith(".stylecine-")} == before
    run = run_writer(tmp_path, output)
    assert (run.returncode, run.stderr) == (0, "")
    assert os.listdir(tmp_path) == [output] and content(tmp_path) != before


@pytest.mark.parametrize("room", [100, 20_000])
def test_a_full_disk_prints_one_line_and_leaves_no_partial_file(tmp_path: Path, output: str, room: int) -> None:
    """Simulated by a limit on file size: the kernel truncates the write in the same way."""
    if room > 100 and isinstance(format_of(output), Folder | Still):
        pytest.skip("one frame fits into that")
    before = older(tmp_path, output)
    run = run_writer(tmp_path, output, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))")
    assert run.returncode == 2 and run.stdout == "" and run.stderr.count("\n") == 1
    assert "no space left" in run.stderr and output in run.stderr and ".stylecine-" not in run.stderr
    assert content(tmp_path) == before and len(os.listdir(tmp_path)) == len(before)


@pytest.mark.parametrize("output", ["loop.mp4", "frames"])
def test_a_full_file_system(tmp_path: Path, output: str) -> None:
    """A small tmpfs, where the user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    try:
        before = older(disk, output)
        run = run_writer(disk, output)
        assert run.returncode == 2 and "no space left" in run.stderr and run.stderr.count("\n") == 1
        assert content(disk) == before and len(os.listdir(disk)) == len(before)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_sigterm_has_its_own_exit_code(tmp_path: Path) -> None:
    run = run_writer(tmp_path, "loop.mp4", "os.kill(os.getpid(), signal.SIGTERM)")
    assert (run.returncode, run.stderr) == (143, MESSAGE) and not os.listdir(tmp_path)


def test_a_second_run_does_not_disturb_the_first(tmp_path: Path) -> None:
    """It finds the lock of the first on their common output, and says so."""
    command = [sys.executable, "-c", WRITER.format(output="loop.gif", action="pass")]
    other = f"import subprocess; subprocess.run({command!r})"
    run = run_writer(tmp_path, "loop.gif", other)
    assert run.returncode == 0 and run.stderr.count("Another run is writing") == 1
    with Image.open(tmp_path / "loop.gif") as picture:
        assert picture.n_frames == 12  # type: ignore[attr-defined]
    assert os.listdir(tmp_path) == ["loop.gif"]


# The whole command, with PyTorch; SIGINT is sent when {moment} holds, or just after a module calls a function.
WATCHED = """
import importlib, os, signal, sys, threading, time

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def watch():
    while not ({moment}):
        time.sleep(2e-4)
    interrupt()

def calls(module, name):
    module = importlib.import_module("stylecine." + module)
    function = getattr(module, name)

    def wrapped(*args, **options):
        threading.Timer(1e-3, interrupt).start()
        return function(*args, **options)

    setattr(module, name, wrapped)
    threading.Event().wait()

from stylecine.cli import run
threading.Thread(target=watch, daemon=True).start()
run()
"""


@pytest.mark.parametrize(
    "moment",
    ["'torch' in sys.modules", "any(name.startswith('.stylecine-') for name in os.listdir('.'))"]
    + [
        pytest.param(moment, marks=pytest.mark.slow)
        for moment in (
            "'torch._C' in sys.modules and 'torch.nn' in sys.modules",
            "'stylecine.engine.pipeline' in sys.modules",
            "calls('engine.model_networks', 'find_model')",
            "calls('engine.animator', 'look')",
            "calls('engine.landscape', 'make_loop')",
        )
    ],
)
def test_ctrl_c_at_any_moment(
    tmp_path: Path, photo: np.ndarray, mask_file: Path, motion_file: Path, small_model: Path, moment: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    Image.fromarray(photo).save(tmp_path / "photo.png")
    command = ["animate", "../photo.png", "--mask", str(mask_file), "--motion", str(motion_file), "--seconds", "20"]
    code = [sys.executable, "-c", WATCHED.format(moment=moment), *command, "--model", str(small_model)]
    run = subprocess.run(
        code, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, preexec_fn=accept_sigint
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", MESSAGE)
    assert not os.listdir(folder)


def test_handlers_are_installed_inside_and_restored_after() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook
    with Interrupts() as interrupts:
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert interrupts.code == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before


def test_an_interrupt_that_is_lost_in_a_destructor_comes_again() -> None:
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    try:
        with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
            Interrupted()
            time.sleep(5)
        assert interrupts.code == 130
    finally:  # once interrupted, both are ignored, also by what later tests start
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_quick_second_signal_is_ignored_during_clean_up_and_a_later_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)
    clock = 100.0
    monkeypatch.setattr("stylecine.machine.interrupts.monotonic", lambda: clock)
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            interrupts._handle(signal.SIGINT, None)
        clock += 1
        interrupts._handle(signal.SIGINT, None)
        clock += 2
        with pytest.raises(KeyboardInterrupt):
            interrupts._handle(signal.SIGTERM, None)
    assert interrupts.code == 143
