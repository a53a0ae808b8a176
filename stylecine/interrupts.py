"""Ctrl-C and SIGTERM stop a command once, cleanly, wherever they find it."""

import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import Any, Self

GRACE = 2.0  # seconds in which to put things away, and in which more of them change nothing


class Interrupts:
    """While it is entered, a signal raises KeyboardInterrupt; `code` is then the exit code by which shells know it.

    A second signal within GRACE is taken for an impatient user's and must not disturb the tidying up; a later one
    raises again, since libraries may have swallowed the first. Only the main thread hears signals.
    """

    code = 0
    _heard_at = -GRACE

    def __enter__(self) -> Self:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            heard = (n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN)  # nohup's
            self._before = {number: signal.signal(number, self._hear) for number in heard}
        self._told_before, sys.unraisablehook = sys.unraisablehook, self._tell
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._told_before
        for number, handler in self._before.items():
            # once interrupted the process is about to end, and one more Ctrl-C would have the interpreter complain
            signal.signal(number, signal.SIG_IGN if self.code else handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if _torch_is_loading():  # an exception inside of its C++ would abort the process: hear the signal again later
            again = threading.Timer(0.05, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        self.code = 128 + number
        if monotonic() - self._heard_at > GRACE:
            self._heard_at = monotonic()
            raise KeyboardInterrupt

    def _tell(self, told: "sys.UnraisableHookArgs") -> None:
        """Where nothing can be raised, in a destructor say, Python prints what was; not an interrupt."""
        if told.exc_type is not KeyboardInterrupt:
            self._told_before(told)


def _torch_is_loading() -> bool:
    return bool(getattr(getattr(sys.modules.get("torch"), "__spec__", None), "_initializing", False))
