"""The command line: ``scfcmi COMMAND``, a file a command.

A new command is a file ``_NAME.py`` here with a function ``add_command``, and its name in ``COMMANDS``. Files import
what is heavy (torch, scanpy, matplotlib) inside the functions that run, so that ``scfcmi --help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, NoReturn

from scfcmi import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

OK, FAILURE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

# In the order of the help text.
COMMANDS = ("cluster", "assign", "evaluate", "plot", "data", "benchmark", "demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        Words after ``scfcmi``. ``None`` takes those of the process.

    Returns
    -------
    Exit code: 0, 2 for wrong use (of arguments, keys or files), 1 for failure, 130 for an interrupt.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_kwargs: _say(f"warning: {message}")
        try:
            options.run(options)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader, head for instance, has what it wanted. Python would complain at its own last flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILURE
        except KeyboardInterrupt:
            _say("interrupted; nothing was written")
            return INTERRUPTED
        except (KeyError, TypeError, ValueError, FileNotFoundError, IsADirectoryError) as error:
            _say(f"error: {_one_line(error)}")
            return WRONG_USE
        except Exception as error:  # noqa: BLE001  # the last stop before the user: one line, not a traceback
            _say(f"error: {type(error).__name__}: {_one_line(error)}")
            return FAILURE
    return OK


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _say(f"error: {message} (see {self.prog} --help)")
        sys.exit(WRONG_USE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scfcmi", description="Fair clustering of single cells.")
    parser.add_argument("--version", action="version", version=f"scfcmi {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"scfcmi.cli._{name}").add_command(commands)
    return parser


def _say(message: str) -> None:
    print(f"scfcmi: {message}", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    # A KeyError prints its message in quotes; its argument is the message.
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(str(text).split())
