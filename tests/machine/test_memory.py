"""How much memory there is, in a container too."""

import math
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stylecine.machine import memory

GIB = 1 << 30


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control group of a container of 4 GiB, of which 3.9 GB are used, nearly all of it by the page cache."""
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    (tmp_path / "memory.current").write_text("3900000000\n")
    (tmp_path / "memory.stat").write_text("anon 100000000\nfile 3800000000\ninactive_file 3700000000\n")
    return tmp_path


def test_page_cache_that_can_be_reclaimed_is_free(container: Path) -> None:
    assert memory._container_bytes() == 4 * GIB - 200_000_000
    memory.check_memory(1536, 1024)  # needs 1.5 GB


def test_the_limits_of_an_older_kernel_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{4 * GIB}\n")
    (tmp_path / "memory/memory.usage_in_bytes").write_text("3900000000\n")
    (tmp_path / "memory/memory.stat").write_text("cache 3800000000\ntotal_inactive_file 3700000000\n")
    assert memory._container_bytes() == 4 * GIB - 200_000_000


def test_a_container_without_limit_or_statistics_is_ignored(container: Path) -> None:
    (container / "memory.stat").unlink()
    assert memory._container_bytes() == math.inf
    (container / "memory.max").write_text("max\n")
    assert memory._container_bytes() == math.inf


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of addresses")
def test_a_limit_of_addresses_counts() -> None:
    """As `ulimit -v` sets it."""
    program = """
import resource
from pathlib import Path
from stylecine.errors import TooLarge
from stylecine.machine.memory import available_bytes, check_memory
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 29), resource.RLIM_INFINITY))
print(available_bytes(None) / (3 << 29))
try:
    check_memory(4096, 4096)
except TooLarge as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    free, says = run.stdout.splitlines()
    assert 0.9 < float(free) <= 1
    assert "4096x4096 needs about 5.8 GB of memory and 1.6 GB are free; use size=1" in says


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_goes_back_to_the_system() -> None:
    blocks = [np.ones(12_000, np.uint8) for _ in range(10_000)]  # 120 MB, too small for mappings of their own
    kept, full = blocks[-1], resident_mb()  # which alone keeps those before it
    del blocks
    memory.release_freed()
    assert resident_mb() < full - 90 and kept[0] == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_memory_of_a_block_of_some_size_is_kept_until_it_is_released() -> None:
    program = """
import resource, numpy, stylecine.machine.memory
stylecine.machine.memory.reuse_freed()
def faults(size=60_000_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.ones(size, numpy.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
new, again = faults(), faults()
stylecine.machine.memory.release_freed()
print(new, again, faults(), faults(100_000_000), faults(100_000_000))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    new, again, released, larger, again_larger = map(int, run.stdout.split())
    assert again < 0.1 * new and released > 0.5 * new
    assert again_larger > 0.5 * larger, "of such sizes memory would be scattered"


def resident_mb() -> float:
    fields = Path("/proc/self/smaps_rollup").read_text().split()
    return int(fields[fields.index("Rss:") + 1]) / 1024
