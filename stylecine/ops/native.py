"""Loads libstylecine and calls its kernels through ctypes and the C interface.

Nothing is loaded before the first use. If a library is missing, does not load or has another version of the interface,
the PyTorch references run instead; `why` gives the reason in one line, with the command that would fix it.
docs/native.md explains the environment variable STYLECINE_LIB, a folder to load from instead of stylecine/lib.
"""

from __future__ import annotations

import ctypes
import functools
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylecine.errors import KernelUnavailable

ABI = 16
MESSAGE = 256  # bytes
OK, INVALID, MEMORY, CUDA = range(4)
INSTRUCTIONS = {"best": -1, "portable": 0, "avx2": 1, "avx512": 2}
DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
CHECKOUT = Path(__file__).parents[2]
LIBRARIES = {"cpu": "libstylecine.so", "cuda": "libstylecine_cuda.so"}

# The functions of stylecine.h that are not kernels: result, then arguments in order.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "stylecine_abi": (c_int, []),
    "stylecine_probe_cuda": (c_int, [c_int, c_char_p]),  # device, message
    "stylecine_cpu_new": (c_int, [c_int, c_int, POINTER(c_void_p), c_char_p]),  # threads, instructions, made, message
    "stylecine_cpu_free": (None, [c_void_p]),  # cpu
    "stylecine_cpu_threads": (c_int, [c_void_p]),  # cpu
    "stylecine_cpu_instructions": (c_int, [c_void_p]),  # cpu
}
KERNELS = {  # name: whether it needs a workspace, which is two more arguments
    "integrate": False,
    "splat": True,
    "warp_features": False,
    "render": True,
    "compare": False,
    "drape": False,
    "recolour": False,
    "weather": False,
}
for _name, _needs_workspace in KERNELS.items():
    _start = [c_void_p, c_void_p, c_size_t] if _needs_workspace else [c_void_p]  # args, workspace, bytes
    FUNCTIONS[f"stylecine_{_name}_cpu"] = (c_int, [*_start, c_void_p, c_char_p])  # cpu, message
    FUNCTIONS[f"stylecine_{_name}_cuda"] = (c_int, [*_start, c_int, c_void_p, c_char_p])  # device, stream, message
    if _needs_workspace:
        FUNCTIONS[f"stylecine_{_name}_workspace_cpu"] = (c_size_t, [c_void_p, c_void_p])  # args, cpu
        FUNCTIONS[f"stylecine_{_name}_workspace_cuda"] = (c_size_t, [c_void_p])  # args

_log = logging.getLogger(__name__)


class _Settings(NamedTuple):
    threads: int | None = None  # None: as many as PyTorch uses
    instructions: str = "best"
    disabled: bool = False


_settings: ContextVar[_Settings] = ContextVar("_settings", default=_Settings())  # noqa: B039 (it is frozen)


@contextmanager
def using(threads: int | None = None, instructions: str | None = None, *, disabled: bool = False) -> Iterator[None]:
    """CPU kernels called inside run with so many threads and these instructions ("portable", "avx2", "avx512"); if
    disabled, their PyTorch references do."""
    if instructions is not None and instructions not in INSTRUCTIONS:
        raise ValueError(f"instructions must be one of {', '.join(INSTRUCTIONS)}, not {instructions!r}")
    now = _settings.get()
    given = threads or now.threads, instructions or now.instructions, disabled or now.disabled
    token = _settings.set(_Settings(*given))
    try:
        yield
    finally:
        _settings.reset(token)


def disabled() -> AbstractContextManager[None]:
    """The PyTorch references run inside."""
    return using(disabled=True)


def available(device: torch.device | str) -> bool:
    """Whether the kernels for this device are loaded, a GPU can run them, and they may be used: not in `disabled`."""
    return not _settings.get().disabled and _missing(torch.device(device)) is None


def why(device: torch.device | str) -> str:
    """One line: what runs on this device and why, with the command that would change it."""
    kind = torch.device(device).type
    missing = _missing(torch.device(device))
    if missing is not None:
        return f"the PyTorch references: {missing}"
    if _settings.get().disabled:
        return "the PyTorch references: native kernels are disabled here"
    if kind == "cuda":
        return f"libstylecine_cuda, {torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU to run on'}"
    queries = [_function("cpu", f"stylecine_cpu_{what}") for what in ("threads", "instructions")]
    with _pool() as pool:
        threads, instructions = (query(pool.handle) for query in queries)
    name = ("portable instructions", "AVX2", "AVX-512")[instructions]
    return f"libstylecine, {name}, {threads} thread{'s' if threads > 1 else ''}"


def run(kernel: str, args: ctypes.Structure, device: torch.device) -> None:
    """Calls stylecine_<kernel>_cpu or _cuda with `args`, on PyTorch's threads or the device's current stream.

    Raises ValueError (an argument is invalid), MemoryError and KernelUnavailable (CUDA's error, or no library).
    """
    call, message = _function(device.type, f"stylecine_{kernel}_{device.type}"), ctypes.create_string_buffer(MESSAGE)
    size = _function(device.type, f"stylecine_{kernel}_workspace_{device.type}") if KERNELS[kernel] else None
    address = ctypes.addressof(args)
    if device.type == "cpu":
        with _pool() as pool:
            space = pool.space(size(address, pool.handle)) if size else ()
            status = call(address, *space, pool.handle, message)
    else:
        index = torch.cuda.current_device() if device.index is None else device.index
        buffer = torch.empty(size(address) if size else 0, dtype=torch.uint8, device=device)
        space = (buffer.data_ptr(), buffer.numel()) if size else ()
        status = call(address, *space, index, torch.cuda.current_stream(device).cuda_stream, message)
    _check(status, f"{kernel}: {message.value.decode(errors='replace')}")


def _check(status: int, message: str) -> None:
    if status != OK:
        raise {INVALID: ValueError, MEMORY: MemoryError, CUDA: KernelUnavailable}.get(status, RuntimeError)(message)


class Arguments(ctypes.Structure):
    """What a kernel takes, in order. Pointers may be given as tensors, which are made dense, as sequences of numbers,
    which become an array of floats, or as other structures; all of these are kept as long as this, but not what
    structures in an array of ctypes point to."""

    def __init__(self, *values: Any) -> None:
        self.kept = [_dense(value) for value in values]
        super().__init__(*map(_address, self.kept))


def _dense(value: Any) -> Any:
    if isinstance(value, Sequence):
        return np.array(value, np.float32)
    return value.contiguous() if isinstance(value, Tensor) else value


def _address(value: Any) -> Any:
    if isinstance(value, (ctypes.Structure, ctypes.Array)):
        return ctypes.addressof(value)
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    return value.data_ptr() if isinstance(value, Tensor) else value


def structure(declarations: str) -> type[Arguments]:
    """A kernel's arguments for ctypes, from C declarations without `const`, as in stylecine.h."""
    scalars = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "float": ctypes.c_float, "double": ctypes.c_double}
    fields: list[tuple[str, Any]] = []
    for declaration in declarations.split(";"):
        kind, names = declaration.split(maxsplit=1)
        fields += [(name.strip(" *\n"), c_void_p if "*" in name else scalars[kind]) for name in names.split(",")]
    return type("Args", (Arguments,), {"_fields_": fields})


def check_tensor(
    label: str, tensor: Tensor, shape: Sequence[int], dtype: torch.dtype, device: torch.device | None = None
) -> None:
    """ValueError unless a kernel's argument, named by `label`, is as it has to be."""
    if tuple(tensor.shape) != tuple(shape) or tensor.dtype != dtype or not tensor.numel():
        expected = f"{str(dtype).removeprefix('torch.')} {list(shape)}"
        raise ValueError(f"{label} is {expected} here, not {tensor.dtype} {list(tensor.shape)}.")
    if device is not None and tensor.device != device:
        raise ValueError(f"{label} is on {tensor.device}, other arguments are on {device}.")


def check_frames(kernel: str, frames: Tensor) -> None:
    """ValueError unless frames can be changed in place: uint8 [n,H,W,3] and contiguous."""
    if frames.ndim != 4:
        raise ValueError(f"{kernel}: frames are [n,H,W,3], not {list(frames.shape)}.")
    check_tensor(f"{kernel}: frame", frames, (*frames.shape[:3], 3), torch.uint8, frames.device)
    if not frames.is_contiguous():
        raise ValueError(f"{kernel}: frames that are changed in place have to be contiguous.")


@dataclass
class _Pool:
    """A stylecine_cpu and its workspace, which is kept: new memory would cost page faults in every frame."""

    handle: c_void_p
    lock: threading.Lock = field(default_factory=threading.Lock)
    workspace: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def space(self, size: int) -> tuple[int, int]:
        if self.workspace.numel() < size:
            self.workspace = torch.empty(0, dtype=torch.uint8)  # frees the old one first
            self.workspace = torch.empty(size, dtype=torch.uint8)
        return self.workspace.data_ptr(), self.workspace.numel()


_pools: dict[tuple[int, int], _Pool] = {}
_pools_lock = threading.Lock()


@contextmanager
def _pool() -> Iterator[_Pool]:
    """The pool with the current settings, locked for this call."""
    settings = _settings.get()
    key = settings.threads or torch.get_num_threads(), INSTRUCTIONS[settings.instructions]
    with _pools_lock:
        if key not in _pools:
            handle, message = c_void_p(), ctypes.create_string_buffer(MESSAGE)
            status = _function("cpu", "stylecine_cpu_new")(*key, ctypes.byref(handle), message)
            _check(status, message.value.decode(errors="replace"))
            _pools[key] = _Pool(handle)
        pool = _pools[key]
    with pool.lock:
        yield pool


def _forget_pools() -> None:
    """For a forked child: threads do not survive a fork, and a lock may have been held."""
    global _pools_lock
    _pools.clear()
    _pools_lock = threading.Lock()


def folder() -> Path:
    """Where the libraries are loaded from."""
    return Path(os.environ.get("STYLECINE_LIB") or Path(__file__).parent.parent / "lib")


@functools.cache
def _library(kind: str) -> ctypes.CDLL | str:
    """The library for "cpu" or "cuda", or the reason why there is none."""
    library = _load(kind)
    if isinstance(library, str):
        _log.info("on %s the PyTorch references run: %s", kind, library)
    elif kind == "cpu":
        os.register_at_fork(after_in_child=_forget_pools)
    return library


def _load(kind: str) -> ctypes.CDLL | str:
    if kind not in LIBRARIES:
        return f"there are no native kernels for {kind}"
    path = folder() / LIBRARIES[kind]
    if not path.exists():
        record = built().get(kind, {})
        why, remedy = record.get("why", f"{folder()} has no {LIBRARIES[kind]}"), record.get("remedy")
        return f"{why}; {f'{remedy}, then ' if remedy else ''}{rebuild()}"
    try:
        library = ctypes.CDLL(str(path))
        abi = library.stylecine_abi()
    except (OSError, AttributeError) as error:
        return f"{path} does not load ({' '.join(str(error).split())}); {rebuild()}"
    return library if abi == ABI else f"{path} has version {abi} of the C interface, this stylecine {ABI}; {rebuild()}"


def _missing(device: torch.device) -> str | None:
    """Why there are no kernels for this device, None if there are."""
    library = _library(device.type)
    if isinstance(library, str):
        return library
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    reason = _not_launchable(torch.cuda.current_device() if device.index is None else device.index)
    if reason and "out of memory" in reason:
        _not_launchable.cache_clear()  # there may be some later
    return reason


@functools.cache
def _not_launchable(index: int) -> str | None:
    """Why this GPU cannot run the library's kernels, None if it can."""
    message = ctypes.create_string_buffer(MESSAGE)
    if _function("cuda", "stylecine_probe_cuda")(index, message) == OK:
        return None
    reason = f"kernels do not run on {torch.cuda.get_device_name(index)} ({message.value.decode(errors='replace')})"
    _log.warning("the PyTorch references run: %s", reason)
    return f"{reason}; update its driver, or {rebuild()}"


@functools.cache
def _function(kind: str, name: str) -> Any:
    library = _library(kind)
    if isinstance(library, str):
        raise KernelUnavailable(f"The native library for {kind} is not there: {library}")
    function = getattr(library, name)
    function.restype, function.argtypes = FUNCTIONS[name]
    return function


def sources() -> list[Path]:
    """The libraries' sources, in a checkout; [] elsewhere."""
    return [path for path in CHECKOUT.glob("cuda_ops/*") if path.suffix in (".h", ".cpp", ".cu")]


def rebuild() -> str:
    """The instruction to rebuild the libraries."""
    if sources():
        return f"run 'python {CHECKOUT / 'cuda_ops/build_native.py'}'"
    return "run 'pip install --force-reinstall --no-deps .' in stylecine's source folder"


def built() -> dict[str, Any]:
    """build.json as the build wrote it: for "cpu" and "cuda" how it was built, or why not. {} without one."""
    try:
        record: dict[str, Any] = json.loads((folder() / "build.json").read_text())
    except (OSError, ValueError):
        return {}
    return record
