"""Frames on their way to the host, with a GPU whose streams run as late or as early as they may."""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.ops import readback
from stylecine.ops.readback import Copier, read_back
from tests.ops.kernels import needs_gpu

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
SHAPE = 2, 3, 3
SIZE = 18  # bytes of a frame


class Stream:
    """Runs what it has been given when somebody waits for it, or, if eager, at once."""

    def __init__(self, eager: bool) -> None:
        self.eager, self.jobs, self.done = eager, list[Callable[[], None]](), 0

    def give(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)
        if self.eager:
            self.run(len(self.jobs))

    def run(self, until: int) -> None:
        while self.done < until:
            job, self.jobs[self.done] = self.jobs[self.done], lambda: None
            self.done += 1
            job()

    def wait_stream(self, other: "Stream") -> None:
        until = len(other.jobs)
        self.give(lambda: other.run(until))

    def record_event(self) -> "Event":
        return Event(self, len(self.jobs))


class Event:
    def __init__(self, stream: Stream, until: int) -> None:
        self.stream, self.until = stream, until

    def synchronize(self) -> None:
        self.stream.run(self.until)


class Gpu:
    """Stands in for torch.cuda and its page-locked memory, which is given out again as soon as nobody refers to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, eager: bool) -> None:
        self.eager, self.free, self.blocks = eager, list[bytearray](), list[bytearray]()
        self.main = self.current = Stream(eager)
        self.kept: list[tuple[int, Stream]] = []  # memory that a stream has been said to use
        self.copy, self.empty = torch.Tensor.copy_, torch.empty
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(eager))
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.current)
        monkeypatch.setattr(torch, "empty", self.allocate)
        monkeypatch.setattr(torch.Tensor, "copy_", lambda *args, **how: self.enqueue_copy(*args, **how))
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda x, by: self.kept.append((x.data_ptr(), by)))
        readback._copier.cache_clear()

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    def allocate(self, *shape: Any, pin_memory: bool = False, **how: Any) -> Tensor:
        if not pin_memory:
            return self.empty(*shape, **how)
        if not self.free:
            self.free.append(bytearray(torch.Size(shape[0]).numel()))
            self.blocks.append(self.free[0])
        block = self.free.pop()
        lease = (ctypes.c_ubyte * len(block)).from_buffer(block)
        weakref.finalize(lease, self.free.append, block)
        return torch.frombuffer(lease, dtype=torch.uint8).view(shape[0])

    def enqueue_copy(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        if not non_blocking:
            return self.copy(target, source)
        self.current.give(lambda: void(self.copy(target, source)))
        return target

    def frames(self, count: int, asked: list[int] | None = None) -> Iterator[Tensor]:
        """Frame k is full of k+1, as soon as the main stream has made it."""
        for k in range(count):
            frame = torch.zeros(SHAPE, dtype=torch.uint8)
            self.main.give(lambda frame=frame, k=k: void(frame.fill_(k + 1)))
            if asked is not None:
                asked.append(k)
            yield frame


def void(_: Any) -> None:
    pass


@pytest.fixture(params=[False, True], ids=["late", "early"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    yield Gpu(monkeypatch, request.param)
    readback._copier.cache_clear()


def assert_numbered(frames: list[np.ndarray]) -> None:
    assert [set(frame.flat) for frame in frames] == [{k + 1} for k in range(len(frames))]


def test_frames_that_are_all_kept_keep_their_content(gpu: Gpu) -> None:
    assert_numbered(list(read_back(gpu.frames(9), CUDA, ahead=3)))


def test_frames_that_are_dropped_one_by_one_share_a_few_buffers(gpu: Gpu) -> None:
    for k, frame in enumerate(read_back(gpu.frames(50), CUDA, ahead=3)):
        assert (frame == k + 1).all()
        del frame
    assert len(gpu.blocks) <= 5, "the receiver's, the one that is waited for, and three ahead"


def test_the_part_of_a_frame_that_is_kept_keeps_its_content(gpu: Gpu) -> None:
    rows = [frame[1:] for frame in read_back(gpu.frames(9), CUDA, ahead=2)]
    shared = [torch.from_numpy(frame)[0] for frame in read_back(gpu.frames(9), CUDA, ahead=2)]
    assert_numbered(rows)
    assert_numbered([x.numpy() for x in shared])


def test_the_following_frames_are_begun_before_the_first_is_waited_for(gpu: Gpu) -> None:
    asked: list[int] = []
    frames = read_back(gpu.frames(9, asked), CUDA, ahead=3)
    assert asked == []
    next(frames)
    assert asked == [0, 1, 2, 3]
    next(frames)
    assert asked == [0, 1, 2, 3, 4]


def test_fewer_frames_than_are_made_ahead_are_all_there(gpu: Gpu) -> None:
    assert_numbered(list(read_back(gpu.frames(1), CUDA, ahead=3)))
    assert list(read_back(gpu.frames(0), CUDA, ahead=3)) == []


def test_whoever_stops_early_leaves_nothing_behind(gpu: Gpu) -> None:
    frames = read_back(gpu.frames(9), CUDA, ahead=3)
    kept = next(frames)
    frames.close()
    assert_numbered([kept, *list(read_back(gpu.frames(9), CUDA, ahead=3))[1:]])
    assert_numbered([kept])


def test_a_frames_memory_is_not_given_away_before_it_is_copied(gpu: Gpu) -> None:
    made = list(gpu.frames(3))
    list(read_back(iter(made), CUDA, ahead=1))
    copier = readback._copier(CUDA)
    assert gpu.kept == [(frame.data_ptr(), copier.stream) for frame in made]


def test_page_locked_memory_that_receivers_hold_is_bounded(gpu: Gpu) -> None:
    copier = Copier(CUDA, most=3 * SIZE)
    frames = [copier.begin(frame)() for frame in gpu.frames(8)]
    assert_numbered(frames)
    assert sum(copier.held.values()) == 3 * SIZE
    assert [frame.flags.owndata for frame in frames] == [False] * 3 + [True] * 5
    part = frames[0][0]
    del frames[:2]
    assert sum(copier.held.values()) == 2 * SIZE, "one of them is still held in part"
    del part
    assert sum(copier.held.values()) == SIZE
    assert not copier.begin(next(gpu.frames(1)))().flags.owndata


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("done.synchronize()", "pass"),
        ("self.stream.wait_stream(torch.cuda.current_stream(self.device))", "pass"),
        ("pinned = torch.empty(", "pinned = globals().setdefault('one', functools.cache(torch.empty))("),
    ],
    ids=["no wait for the copy", "no wait for the frame", "one buffer for all"],
)
def test_mistakes_are_noticed(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    source = Path(readback.__file__).read_text()
    assert source.count(right) == 1
    faulty: dict[str, Any] = {"__name__": "faulty"}
    exec(compile(source.replace(right, wrong), "faulty", "exec"), faulty)
    gpu = Gpu(monkeypatch, eager=False)
    with pytest.raises(AssertionError):
        assert_numbered(list(faulty["read_back"](gpu.frames(9), CUDA, ahead=3)))


def test_numbers_reach_a_gpu_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: calls.append("page-locked") or x)
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *where, **how: calls.append((where, how)) or x)
    gpu = torch.device("cuda", 0)
    assert readback.enqueued(torch.ones(3), gpu).tolist() == [1.0] * 3
    assert calls == ["page-locked", ((gpu,), {"non_blocking": True})]
    assert readback.enqueued(torch.ones(3), torch.device("cpu")).tolist() == [1.0] * 3
    assert "page-locked" not in calls[2:]


def test_on_the_cpu_frames_are_made_when_they_are_asked_for() -> None:
    asked: list[int] = []

    def frames() -> Iterator[Tensor]:
        for k in range(3):
            asked.append(k)
            yield torch.full(SHAPE, k + 1, dtype=torch.uint8)

    made = read_back(frames(), CPU, ahead=3)
    first = next(made)
    assert asked == [0]
    assert_numbered([first, *made])


@needs_gpu
def test_a_gpu_brings_frames_back_as_they_are_made() -> None:
    stream = torch.cuda.Stream(CUDA)
    with torch.cuda.stream(stream):
        frames = (torch.full((512, 512, 3), k + 1, dtype=torch.uint8, device=CUDA) for k in range(60))
        made = list(read_back(frames, CUDA, ahead=3))
    assert_numbered(made)
