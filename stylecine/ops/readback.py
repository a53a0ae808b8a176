"""Frames brought from a GPU to the host while the following ones are being made, and numbers for these sent there."""

from __future__ import annotations

import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

PINNED = 100_000_000  # bytes of page-locked memory that callers may hold; the system cannot use it for anything else

Wait = Callable[[], np.ndarray]


def read_back(tensors: Iterable[Tensor], device: torch.device, ahead: int) -> Iterator[np.ndarray]:
    """The tensors as arrays, in order. Each array belongs to its receiver: nothing is written to it later.

    On CUDA `ahead` tensors that follow are asked for, and their copies begun, before the first is waited for, so that
    the GPU computes and copies while the receiver is busy. Elsewhere each is asked for when its turn has come.
    """
    if device.type != "cuda":
        for tensor in tensors:
            yield tensor.cpu().numpy()
        return
    begun: deque[Wait] = deque()
    copier = _copier(device)
    for tensor in tensors:
        begun.append(copier.begin(tensor))
        del tensor  # its memory is for the frames that follow
        if len(begun) > ahead:
            yield begun.popleft()()
    while begun:
        yield begun.popleft()()


class Copier:
    """Copies to page-locked memory on a stream of its own.

    That memory comes from PyTorch's cache of it, to which it returns once neither a copy nor any array over it is left:
    whoever consumes frames one by one has a ring of a few buffers. As this memory is scarce, frames are copied out of
    it as soon as arrays over `most` bytes of it are held.
    """

    def __init__(self, device: torch.device, most: int = PINNED) -> None:
        self.device, self.most = device, most
        self.stream = torch.cuda.Stream(device)
        self.held: dict[int, int] = {}  # bytes of what receivers hold, by identity

    def begin(self, tensor: Tensor) -> Wait:
        """Enqueues the copy after what the current stream has been given; the function that waits for the array."""
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            pinned.copy_(tensor, non_blocking=True)
            done = self.stream.record_event()
        tensor.record_stream(self.stream)  # or its memory could be given to another tensor before it is copied

        def wait() -> np.ndarray:
            done.synchronize()
            return self._given(pinned)

        return wait

    def _given(self, pinned: Tensor) -> np.ndarray:
        array: np.ndarray = pinned.numpy()
        if sum(self.held.copy().values()) + array.nbytes > self.most:
            return array.copy()
        owner = array.base  # every array over this memory refers to it
        self.held[id(owner)] = array.nbytes
        weakref.finalize(owner, self.held.pop, id(owner)).atexit = False
        return array


@functools.cache
def _copier(device: torch.device) -> Copier:
    return Copier(device)


def enqueued(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers of the CPU on a device. Those for a GPU go by page-locked memory: of other memory the CPU would have to
    wait until they are copied, hence for the frames before."""
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)
