"""The command for a machine with a GPU, where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from stylecine.ops import native


def run(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(out)])
    gpu.main()


def test_without_a_gpu_it_says_so_and_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="There is no GPU here") as failure:
        run(monkeypatch, tmp_path)
    assert isinstance(failure.value.code, str), "which Python turns into the exit status 1"
    assert not list(tmp_path.iterdir())


def test_with_a_gpu_that_cannot_run_the_kernels_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(native, "available", lambda device: False)
    monkeypatch.setattr(native, "why", lambda device: "the PyTorch references: its driver is old")
    with pytest.raises(SystemExit, match="There is a GPU, but it runs the PyTorch references: its driver is old"):
        run(monkeypatch, tmp_path)


def test_every_step_runs_and_failures_are_named_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=None: "some GPU")
    monkeypatch.setattr(native, "available", lambda device: True)
    monkeypatch.setattr(native, "why", lambda device: "libstylecine_cuda")
    monkeypatch.setattr(gpu, "profiles", lambda size: {"dfw": [{"kernel": "warp", "microseconds": 2.0, "calls": 1.0}]})
    commands = {
        "one": [sys.executable, "-c", "print('all wrong'); raise SystemExit(3)"],
        "two": [sys.executable, "-c", ""],
        "three": "there is no such tool",
    }
    monkeypatch.setattr(gpu, "steps", lambda out, size: commands)
    with pytest.raises(SystemExit, match=r"^Failed: one\.$"):
        run(monkeypatch, tmp_path)
    made = json.loads((tmp_path / "gpu.json").read_text())
    assert [(row["step"], row["result"]) for row in made["steps"]] == [
        ("one", "failed"),
        ("two", "passed"),
        ("three", "not run"),
    ]
    assert made["steps"][0]["says"] == "all wrong\n"
    report = (tmp_path / "gpu.md").read_text()
    assert "| one | failed |" in report and "| warp | 2 | 1 |" in report


@pytest.mark.slow
def test_its_tests_are_those_that_compare_with_the_gpu() -> None:
    """Chosen by their names, of which each kernel has at least one."""
    listed = subprocess.run(
        [sys.executable, *gpu.TESTS, "--collect-only"], capture_output=True, text=True
    ).stdout
    for kernel in native.KERNELS:
        assert f"test_{kernel}.py::test_the_gpu_agrees_with_the_cpu" in listed, kernel
