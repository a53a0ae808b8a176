"""The command `stylecine`. Heavy modules are imported where a command's work begins, so that --help and errors come at
once.

Exit codes: 0 done; 2 a user's error, in one line on standard error, no output left behind; 130 interrupted,
141 what reads the output has left, as `head` does; 143 terminated, nothing half-written left; 74 standard output
cannot be written, such as on a full disk; 1 anything else.
"""

import gc
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from time import perf_counter
from typing import NoReturn

from stylecine.commands import (
    animate,
    batch,
    convert,
    doctor,
    edit,
    explain,
    mcp,
    measure,
    models,
    render,
    report,
    scene,
    serve,
    studio,
)
from stylecine.commands.arguments import Parser, with_flags
from stylecine.commands.console import Unprinted, complain, leave, open_closed_streams
from stylecine.errors import StylecineError, first_line
from stylecine.machine.interrupts import Interrupts
from stylecine.machine.memory import available_bytes
from stylecine.version import __version__

COMMANDS = animate, explain, scene, edit, render, batch, models, convert, measure, report, doctor, studio, serve, mcp
NEW_OBJECTS = 500_000  # before the garbage collector looks: imports make 300,000, all of which stay, a loop few
READER_LEFT = 141  # as shells count a program that SIGPIPE has ended
NO_OUTPUT = 74  # EX_IOERR of sysexits.h
OUT_OF_MEMORY = re.compile("allocate memory|out of memory|failed to map segment")  # what PyTorch and the linker say
LITTLE_MEMORY = 128e6  # bytes
INTERRUPTED = "Interrupted; nothing half-written is left. Run the command again."


def run() -> NoReturn:
    """The whole process of a command."""
    leave(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    start = perf_counter()
    open_closed_streams()
    gc.set_threshold(NEW_OBJECTS)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be more than the terminal can show
    if logging.lastResort:  # prints what the package logs for its user
        logging.lastResort.setFormatter(logging.Formatter("stylecine: %(message)s"))
    with Interrupts() as interrupts:
        try:
            commands = parser()
            options = commands.parse_args(argv)
            if options.run is None:
                commands.print_help()
                return 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # libraries' warnings are for programmers
                return int(options.run(options, start))
        except (Exception, KeyboardInterrupt) as error:
            if interrupts.code:  # a library may have turned it into another error
                return complain(INTERRUPTED, interrupts.code)
            return _report(error)


def _report(error: BaseException) -> int:
    """Says what went wrong; returns the exit code."""
    if isinstance(error, StylecineError):
        return complain(with_flags(str(error)), 2)
    if isinstance(error, KeyboardInterrupt):
        return complain(INTERRUPTED, 130)
    if isinstance(error, Unprinted | BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain at the exit
        reason = error.__cause__ or error
        if isinstance(reason, BrokenPipeError):
            return READER_LEFT
        why = getattr(reason, "strerror", None) or reason
        return complain(f"Standard output cannot be written ({why}); files that were written stand.", NO_OUTPUT)
    if os.environ.get("STYLECINE_DEBUG"):
        traceback.print_exception(error)
    if _ran_out_of_memory(error):
        return complain("Memory ran out; ask for a smaller --size, free some memory, or raise its limit.", 2)
    says = f"{type(error).__name__}: {first_line(error)}"
    return complain(f"Internal error: {says} (STYLECINE_DEBUG=1 shows where)", 1)


def _ran_out_of_memory(error: BaseException) -> bool:
    """Where hardly any is left, libraries raise anything."""
    reported = isinstance(error, RuntimeError | ImportError) and OUT_OF_MEMORY.search(str(error)) is not None
    return isinstance(error, MemoryError) or reported or available_bytes(None) < LITTLE_MEMORY


def parser() -> Parser:
    top = Parser(prog="stylecine", description="Turns one landscape photo into a seamless video loop.")
    top.add_argument("--version", action="version", version=f"stylecine {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    top.set_defaults(run=None)
    for module in COMMANDS:
        says = module.__doc__ or ""
        summary = says.partition("\n")[0].removesuffix(".")
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(name, help=summary[:1].lower() + summary[1:], description=says)
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    return top
