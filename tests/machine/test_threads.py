"""A container's cores; PyTorch's threads leave the cores to other programs, whichever of PyTorch and stylecine was
imported first."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import stylecine
from stylecine.machine import threads
from tests.machine.test_interrupts import accept_sigint


@pytest.mark.parametrize(("device", "elsewhere"), [("cpu", True), ("cuda", False)])
def test_work_is_done_in_another_thread_but_for_a_gpu(device: str, elsewhere: bool) -> None:
    with threads.another_thread(torch.device(device), "stylecine-test") as begin:
        names = [begin(lambda: threading.current_thread().name).result() for _ in range(2)]
        with pytest.raises(ZeroDivisionError):
            begin(lambda: 1 // 0).result()
    assert len(set(names)) == 1 and names[0].startswith("stylecine-test") == elsewhere


CODE = """
import torch
torch.set_num_threads({threads})
from stylecine import Animator
for _ in range(2):
    Animator.from_pretrained({model!r}, "cpu")
import threading
print([thread.name for thread in threading.enumerate()].count("stylecine-openmp"))
"""


def parked_teams(model: Path, threads: int, environment: dict[str, str]) -> int:
    """How many sleeping teams of OpenMP threads a process has that has loaded two models."""
    unset = {name: x for name, x in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    path = {"PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    command = [sys.executable, "-c", CODE.format(threads=threads, model=str(model))]
    run = subprocess.run(command, env=unset | path | environment, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is what PyTorch uses on Linux")
def test_one_thread_team_is_parked_for_any_number_of_animators(small_model: Path) -> None:
    assert parked_teams(small_model, 2, {}) == 1


ENDS_AT_ONCE = """
import os, signal, threading
import torch
torch.set_num_threads(2)
def slow(size):  # it takes its time, without the interpreter's lock
    if {interrupted}:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    return torch.linalg.svd(torch.rand(1000, 1000)).S
torch.ones = slow
from stylecine.machine.threads import share_cores
try:
    share_cores()
except KeyboardInterrupt:
    raise SystemExit(4)
raise SystemExit(3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is what PyTorch uses on Linux")
@pytest.mark.parametrize(("interrupted", "code"), [(False, 3), (True, 4)], ids=["exit", "Ctrl-C"])
def test_a_process_that_ends_right_away_does_not_abort(interrupted: bool, code: int) -> None:
    settled = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: x for name, x in os.environ.items() if name not in settled}
    environment["PYTHONPATH"] = str(Path(stylecine.__file__).parent.parent)
    command = [sys.executable, "-c", ENDS_AT_ONCE.format(interrupted=interrupted)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=accept_sigint)
    assert (run.returncode, run.stderr) == (code, "")


FORKS = """
import os, sys
import torch
torch.set_num_threads(2)
from stylecine.machine.threads import share_cores
share_cores()
image, weight = torch.rand(1, 8, 256, 256), torch.rand(8, 8, 3, 3)
torch.nn.functional.conv2d(image, weight)
child = os.fork()
if not child:
    torch.nn.functional.conv2d(image, weight)
    os._exit(torch.get_num_threads())
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_with_one_thread() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", FORKS], env=environment, timeout=60)
    assert run.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}], ids=str)
def test_the_environment_takes_precedence(small_model: Path, environment: dict[str, str]) -> None:
    assert parked_teams(small_model, 2, environment) == 0


def test_a_single_thread_does_not_wait(small_model: Path) -> None:
    assert parked_teams(small_model, 1, {}) == 0


@pytest.mark.parametrize(
    ("quota", "count"),
    [("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 8), ("max 100000", 8)],
)
def test_a_containers_quota_limits_the_cores(
    quota: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    assert threads.cores() == 8  # outside a container
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert threads.cores() == count


@pytest.mark.parametrize(("quota", "count"), [("200000", 2), ("-1", 8)])
def test_so_does_that_of_an_older_kernel(
    quota: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert threads.cores() == count
