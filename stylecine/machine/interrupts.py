"""Ctrl-C and SIGTERM stop a command once and cleanly, whenever they come."""

import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import Any, Self

GRACE = 2.0  # seconds to clean up, in which further signals are ignored
RETRY = 0.05  # seconds until a signal that came while PyTorch loads, or in a destructor, is sent again


class Interrupts:
    """A context in which a signal raises KeyboardInterrupt; `code` is then the exit code that shells expect.

    A second signal within GRACE is taken for an impatient user's and must not disturb the cleaning up; a later one
    raises again, since libraries may have swallowed the first. Only the main thread receives signals.
    """

    code = 0
    _last = -GRACE

    def __enter__(self) -> Self:
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            handled = (n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN)  # nohup's
            self._previous = {number: signal.signal(number, self._handle) for number in handled}
        self._previous_hook, sys.unraisablehook = sys.unraisablehook, self._report_unraisable
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._previous_hook
        for number, handler in self._previous.items():
            # once interrupted the process is about to end, and another Ctrl-C would make the interpreter complain
            signal.signal(number, signal.SIG_IGN if self.code else handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        spec = getattr(sys.modules.get("torch"), "__spec__", None)
        if getattr(spec, "_initializing", False):  # an exception inside its C++ code would abort the process
            _send_again(number)
            return
        self.code = 128 + number
        if monotonic() - self._last > GRACE:
            self._last = monotonic()
            raise KeyboardInterrupt

    def _report_unraisable(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """What is raised in a destructor, for example, Python reports and forgets; an interrupt comes again instead."""
        if unraisable.exc_type is not KeyboardInterrupt:
            self._previous_hook(unraisable)
        elif self.code:
            self._last = -GRACE
            _send_again(self.code - 128)


def _send_again(number: int) -> None:
    again = threading.Timer(RETRY, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()
