"""How a command's process ends."""

import subprocess
import sys

import pytest


def ended(code: str, **how: int) -> "subprocess.CompletedProcess[str]":
    start = "import atexit, sys, threading, time; from stylecine.commands.console import leave\n"
    return subprocess.run([sys.executable, "-c", start + code], stderr=subprocess.PIPE, text=True, **how)


@pytest.mark.parametrize("code", [0, 2, 143])
def test_output_is_written_and_what_is_to_run_at_the_end_has_run(code: int) -> None:
    done = ended(f"atexit.register(print, 'last'); print('first'); leave({code})", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (code, "first\nlast\n", "")


def test_nothing_is_torn_down() -> None:
    left = "class Left:\n    def __del__(self): print('torn down')\nleft = Left()\n"
    assert ended(left + "leave(0)", stdout=subprocess.PIPE).stdout == ""
    assert ended(left + "sys.exit(0)", stdout=subprocess.PIPE).stdout == "torn down\n"


def test_threads_that_have_to_finish_do() -> None:
    slow = "threading.Thread(target=lambda: (time.sleep(0.3), print('finished'))).start(); leave(3)"
    done = ended(slow, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (3, "finished\n")


def test_those_that_never_do_are_not_waited_for() -> None:
    done = ended("threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); leave(0)")
    assert done.returncode == 0


def test_there_may_be_no_output() -> None:
    assert ended("sys.stdout = sys.stderr = None; leave(4)").returncode == 4
    closed = "import os; reader, sys.stdout = os.pipe(); sys.stdout = open(sys.stdout, 'w'); os.close(reader)\n"
    assert ended(closed + "print('unread'); leave(0)").returncode == 120, "as Python says that output is lost"
