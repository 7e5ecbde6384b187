"""The command line: ``scfcmi COMMAND``, a file a command.

A new command is a file ``_NAME.py`` here with a function ``add_command``, and its name in ``COMMANDS``. Files import
what is heavy (torch, scanpy, matplotlib) inside the functions that run, so that ``scfcmi --help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from scfcmi import __version__
from scfcmi._shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OK, FAILURE, WRONG_USE = 0, 1, 2
# As a shell says that a process ended by SIGINT, SIGPIPE or SIGTERM.
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143

# Bytes of address space that torch and its like take before any cells are read. With less, some of them never return.
_LEAST_MEMORY = 2 << 30
# What torch, faiss, HDF5, the loader of libraries and, last, Python itself say instead of a MemoryError.
_MEMORY = (
    "can't allocate memory",
    "Cannot allocate memory",
    "memory allocation failed",
    "bad_alloc",
    "failed to map segment",
    "without setting an exception",
    "without exception set",
)

# In the order of the help text.
COMMANDS = ("cluster", "assign", "evaluate", "plot", "report", "data", "benchmark", "demo", "repeat")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Words after ``scfcmi``. ``None`` takes those of the process.

    Returns
    -------
    Exit code: 0, 2 for wrong use (of arguments, keys or files), 1 for failure, 130 for an interrupt (SIGINT), 141 if the
    reader of standard output went away, 143 for SIGTERM.
    """
    with _sigterm_raises(), _any_name_printed(), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_kwargs: _say(f"warning: {_one_line(message)}")
        try:
            try:
                words = sys.argv[1:] if arguments is None else arguments
                options = _parser().parse_args([_dashed(word) for word in words])
                _check_limit()
                code = options.run(options)
            finally:
                # After --help, too, which ends by SystemExit.
                _flush()
        except BrokenPipeError:
            # The reader, head for instance, has what it wanted.
            return BROKEN_PIPE
        except KeyboardInterrupt:
            _say("interrupted; no file is half written")
            return INTERRUPTED
        except _TerminatedError:
            _say("terminated; no file is half written")
            return TERMINATED
        except (KeyError, TypeError, ValueError, FileNotFoundError, IsADirectoryError) as error:
            _say(f"error: {_one_line(error)}")
            return WRONG_USE
        except MemoryError as error:
            _say(f"error: {_out_of_memory(error)}")
            return FAILURE
        except Exception as error:  # noqa: BLE001  # the last stop before the user: one line, not a traceback
            said = f"{type(error).__name__}: {_one_line(error)}"
            is_memory = any(words in said for words in _MEMORY)
            _say(f"error: {_out_of_memory(error) if is_memory else said}")
            return FAILURE
    # Most commands either end well or raise.
    return OK if code is None else code


class _TerminatedError(BaseException):
    """SIGTERM, as an exception, so that temporary files are removed on the way out."""


@contextmanager
def _any_name_printed() -> Iterator[None]:
    """Escape what the terminal has no letter for, such as the name of a file."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    # Only the main thread may set handlers; one that another program has set is its own affair.
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise_terminated(*_signal: object) -> NoReturn:
    raise _TerminatedError


def _check_limit() -> None:
    try:
        import resource
    except ImportError:
        # There are no such limits on Windows.
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY:
        msg = f"ulimit -v is {limit >> 20} MB, and {_LEAST_MEMORY >> 20} MB are needed to start"
        raise MemoryError(msg)


def _out_of_memory(error: BaseException) -> str:
    return f"out of memory ({_one_line(error) or 'no more is said'}). No file is half written. Give it more memory, or fewer cells."


def _flush() -> None:
    # There is no standard output where it was closed (>&-).
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        # What could not be written would be tried again, and complained about, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _say(f"error: {message} (see {self.prog} --help)")
        sys.exit(WRONG_USE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scfcmi", description="Clusters single cells by biology, and not by the batch.")
    parser.add_argument("--version", action="version", version=f"scfcmi {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"scfcmi.cli._{name}").add_command(commands)
    return parser


def _dashed(word: str) -> str:
    """Return ``--batch-key`` for ``--batch_key``, as it is called in Python."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


def _say(message: str) -> None:
    if sys.stderr is None:
        return
    with suppress(BrokenPipeError):
        print(f"scfcmi: {shown(message)}", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    # A KeyError prints its message in quotes; its argument is the message.
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(str(text).split())
