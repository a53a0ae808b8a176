"""A restricted unpickler: it loads tensors and plain containers only.

A pickle is a program that may call anything it can import. Here it may use the names in a closed table, each of which
stands for an inert class or a small function of this file; a pickle never gets a function of torch or numpy, or an
object whose state could have effects. Everything else is refused by name.
"""

import argparse
import io
import math
import pickle
import pickletools
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylecine.errors import WeightsMalformed

MAX_USES = 4  # bytes of all tensors together, per byte of the pickle; a storage and the one view of it are 2


class Persistent:
    """Stands for an object of NVIDIA's torch_utils.persistence: class name and state, without its source code."""

    def __init__(self, meta: dict[str, Any]) -> None:
        self.class_name = str(meta["class_name"])
        self.state: dict[str, Any] = dict(meta["state"])


class TFNetwork:
    """Stands for NVIDIA's dnnlib.tflib.network.Network: the state it was pickled with."""

    state: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = dict(state)


class Array:
    """Holds a tensor, so that a pickle cannot call a real tensor's or array's own __setstate__."""

    tensor: Tensor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """numpy.ndarray's pickled state: version, shape, dtype, Fortran order, bytes."""
        _, shape, dtype, fortran, content = state
        self.tensor = _from_bytes(content, dtype, shape, "F" if fortran else "C")


def load_pickle(data: bytes) -> Any:
    """The pickled object, made of dicts, lists, tuples, sets, numbers, strings and the classes above.

    Raises WeightsMalformed for a damaged pickle and for one that asks for anything else; none of it is executed.
    """
    try:
        _check_memo(data)
        return _Unpickler(data).load()
    except WeightsMalformed:
        raise
    except Exception as error:  # a hostile stream can fail in any way
        raise WeightsMalformed(
            f"The checkpoint is damaged or no pickle ({type(error).__name__}: {error}); fetch it again."
        ) from None


def load_torch(data: bytes) -> Any:
    """What torch.save wrote, by torch's own restricted loader: tensors, plain containers and training options.

    Raises WeightsMalformed as `load_pickle` does.
    """
    try:
        with _ignore_storage_warning(), torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # as above; torch's message says how to load it anyway
        requested = re.search(r"GLOBAL ([\w.]+)", str(error))
        if requested:
            raise _refusal(requested[1]) from None
        raise WeightsMalformed("The checkpoint is damaged or was not written by torch; fetch it again.") from None


@contextmanager
def _ignore_storage_warning() -> Iterator[None]:
    """Suppresses torch's warning about a kind of storage in old checkpoints."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
        yield


def _refusal(name: str) -> WeightsMalformed:
    return WeightsMalformed(
        f"The checkpoint asks for '{name}', which no StyleGAN2 checkpoint needs;"
        " nothing of it was executed: do not trust this file."
    )


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._table = _table(MAX_USES * len(data))

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._table[module, name]
        except KeyError:
            raise _refusal(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise WeightsMalformed("The checkpoint points to data outside itself; fetch it again.")


def _table(max_bytes: int) -> dict[tuple[str, str], Any]:
    """Everything that a pickle may name. New for each load, as a pickle can set attributes of these classes.

    max_bytes: of all tensors together.
    """
    made = 0

    def counted(tensor: Tensor) -> Tensor:
        nonlocal made
        made += tensor.nbytes
        if made > max_bytes:
            raise WeightsMalformed("The checkpoint uses its data again and again; do not trust this file.")
        return tensor

    class CountedArray(Array):
        def __setstate__(self, state: tuple[Any, ...]) -> None:
            super().__setstate__(state)
            self.tensor = counted(self.tensor)

    def array(tensor: Tensor) -> Array:
        holder = CountedArray()
        holder.tensor = counted(tensor)
        return holder

    def load_from_bytes(content: bytes) -> Array:
        storage = load_torch(content)
        with _ignore_storage_warning():
            return array(torch.empty(0, dtype=storage.dtype).set_(storage.untyped()))

    def rebuild_tensor(storage: Array, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Array:
        if math.prod(size) > storage.tensor.numel():  # it would exhaust memory
            raise WeightsMalformed("The checkpoint has a tensor larger than its data; fetch it again.")
        return array(storage.tensor.as_strided(tuple(size), tuple(stride), offset).clone())

    def encode(text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise WeightsMalformed(f"The checkpoint holds bytes encoded as '{encoding}'; fetch it again.")
        return text.encode("latin-1")

    table: dict[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,  # in protocols up to 2
        ("_codecs", "encode"): encode,
        ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        ("torch.storage", "_load_from_bytes"): load_from_bytes,
        ("numpy", "ndarray"): type("NDArray", (), {}),  # named in calls of _reconstruct
        ("numpy", "dtype"): type("DType", (_DType,), {}),
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): type("LocalPersistent", (Persistent,), {}),
        ("dnnlib.tflib.network", "Network"): type("LocalTFNetwork", (TFNetwork,), {}),
        ("dnnlib.util", "EasyDict"): type("EasyDict", (dict,), {}),
    }
    for core in ("numpy.core", "numpy._core"):  # before and since numpy 2
        table[f"{core}.multiarray", "_reconstruct"] = lambda *_: CountedArray()
        table[f"{core}.multiarray", "scalar"] = lambda dtype, content: float(_from_bytes(content, dtype, (), "C"))
        table[f"{core}.numeric", "_frombuffer"] = lambda *parts: array(_from_bytes(*parts))
    return table


class _DType:
    """Stands for numpy.dtype: a name such as "f4" and a byte order."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        if self.name not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"):
            raise WeightsMalformed(f"The checkpoint has an array of '{self.name}'; fetch it again.")
        dtype = np.dtype(self.name)
        return dtype.newbyteorder(">") if self.order == ">" else dtype


def _from_bytes(content: bytes, dtype: _DType, shape: Sequence[int], order: Any) -> Tensor:
    values = np.frombuffer(content, dtype.numpy()).reshape(shape, order="F" if order == "F" else "C")
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), order="C"))


def _check_memo(data: bytes) -> None:
    """Refuses memo indices that no pickler writes: the unpickler would allocate memory for all lower ones."""
    written = 0
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            if int(str(argument)) > 2 * written + 64:
                raise WeightsMalformed("The checkpoint numbers its objects inconsistently; do not trust this file.")
            written += 1
