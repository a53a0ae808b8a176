"""How much memory a photo of some size needs, how much there is, and giving back what is no longer used."""

from __future__ import annotations

import ctypes
import math
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stylecine.errors import TooLarge

if TYPE_CHECKING:
    import torch

CGROUP = Path("/sys/fs/cgroup")
CGROUPS = (  # v2, v1: folder of the memory controller, limit, what is used, how much of that is inactive cache
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
REUSED, KEPT = 1 << 26, 1 << 30  # bytes: glibc keeps smaller blocks, and as much of them at the end of its heap
DECIDED = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX"}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # glibc's malloc.h
GENERATOR_SIDE = 1024  # the generator runs at a short side of at most this; finer detail comes from the photo


def needed_bytes(width: int, height: int) -> float:
    """Peak memory on the way from photo to frames, fitted to CPU runs from 512x512 to 4096x4096."""
    scale = min(1.0, GENERATOR_SIDE / min(width, height))
    return 450e6 + width * height * (450 * scale**2 + 290)


def check_memory(width: int, height: int, device: torch.device | None = None, remedy: str = "use") -> None:
    """Raises TooLarge, naming a size that fits, if width x height does not fit into the memory left (None: CPU's)."""
    free, need = available_bytes(device), needed_bytes(width, height)
    if need <= free:
        return
    short = min(width, height)
    sides = range(short // 32 * 32, 63, -32)
    side = next((s for s in sides if needed_bytes(width * s // short, height * s // short) <= free), None)
    advice = f"{remedy} size={side}" if side else "free some memory, or raise its limit, first"
    raise TooLarge(
        f"{width}x{height} needs about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {advice}."
    )


def available_bytes(device: torch.device | None) -> float:
    """Memory that can still be used on `device`; infinite where the system does not say."""
    if device is not None and device.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    free = math.inf
    with suppress(AttributeError, ValueError, OSError):  # Windows
        free = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError):  # macOS
        available = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        free = 1024.0 * int(available[1]) if available else free
    return min(free, _container_bytes(), _address_space())


def reuse_freed() -> None:
    """Lets glibc keep the memory of freed tensors for the next ones, until `release_freed`.

    It would return all that are large at once, and the system would clear the pages of each new one: a tenth of the
    time from photo to file. Blocks as large as those of photos of 2048x2048 and more are returned: kept, they would
    leave gaps between others, and a photo of 4096x4096 took 2 GB more. All threads share one heap, so that what one
    has freed serves the others. Does nothing where the environment decides, or with other C libraries.
    """
    if sys.platform == "linux" and not os.environ.keys() & DECIDED:
        with suppress(AttributeError, OSError):
            library = ctypes.CDLL(None)
            library.mallopt(M_MMAP_THRESHOLD, REUSED)
            library.mallopt(M_TRIM_THRESHOLD, KEPT)
            library.mallopt(M_ARENA_MAX, 1)


def release_freed() -> None:
    """Returns freed memory to the system: glibc keeps hundreds of megabytes, which the next stage cannot always reuse.

    Takes tens of milliseconds; does nothing with other C libraries.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


def _address_space() -> float:
    """What `ulimit -v` leaves of this process's addresses; infinite without a limit."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return math.inf
        return float(limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize())
    except (ImportError, OSError, ValueError):  # Windows; no /proc
        return math.inf


def _container_bytes() -> float:
    """What a container's memory limit leaves; infinite without one.

    What is used includes the page cache, whose inactive part is reclaimed as soon as somebody needs the memory.
    """
    for folder, limit, used, inactive in CGROUPS:
        try:
            most = float((CGROUP / folder / limit).read_text().strip().replace("max", "inf"))
            statistics = dict(line.split() for line in (CGROUP / folder / "memory.stat").read_text().splitlines())
            return most - int((CGROUP / folder / used).read_text()) + int(statistics[inactive])
        except (OSError, ValueError, KeyError):
            continue
    return math.inf
