"""Processes that end, fork, spawn or become another program after they have made a loop, on two threads: the exit code
is their own, and nobody prints anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stylecine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]

PROGRAM = """
import multiprocessing, os, sys, threading
import stylecine

def use(**options):
    options = {{"mask": {mask!r}, "motion": {motion!r}, "model": {model!r}, "seconds": 0.5, "fps": 12, **options}}
    stylecine.animate({photo!r}, **options).save(f"{{os.getpid()}}-{{threading.get_ident()}}.mp4")

def fail(stage, done, total):
    if stage == {stage!r}:
        sys.exit(7)  # an exception that prints nothing

if __name__ == "__main__":
    {action}
"""
SPAWN = """process = multiprocessing.get_context("spawn").Process(target=use)
    use(), process.start(), process.join()
    sys.exit(7 if process.exitcode == 0 else 1)"""
FORK = """use()
    if not (child := os.fork()):
        use()
        sys.exit(7)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""
THREADS = """threads = [threading.Thread(target=use) for _ in range(2)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    sys.exit(7)"""
EXECV = """use()
    os.execv(sys.executable, [sys.executable, "-c", "raise SystemExit(7)"])"""
ACTIONS = {"right after the import": "stylecine.Animator, sys.exit(7)", "after a loop": "use(), sys.exit(7)"}
ACTIONS |= {"spawn": SPAWN, "fork": FORK, "threads": THREADS, "execv": EXECV}
STAGES = ("photo", "weights", "mask", "plate", "loop", "video")
CASES = [pytest.param(action, "", id=name) for name, action in ACTIONS.items()]
CASES += [pytest.param("use(progress=fail)", stage, id=stage) for stage in STAGES]


@pytest.mark.parametrize(("action", "stage"), CASES)
def test_the_exit_is_clean(
    action: str, stage: str, tmp_path: Path, photo_file: Path, mask_file: Path, motion_file: Path, small_model: Path
) -> None:
    files = {"photo": photo_file, "mask": mask_file, "motion": motion_file, "model": small_model}
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(action=action, stage=stage, **{name: str(path) for name, path in files.items()}))
    environment = os.environ | {"PYTHONPATH": str(Path(stylecine.__file__).parents[1]), "OMP_NUM_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stdout, run.stderr) == (7, "", "")
    assert not list(tmp_path.glob(".stylecine-*"))
