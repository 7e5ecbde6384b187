"""The methods there are. A third one is a folder beside ``atlas/`` and a line here."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scfcmi import _validate
from scfcmi.errors import ModelFormatError
from scfcmi.models import files

if TYPE_CHECKING:
    import os

    from scfcmi.models.base import GroupedClusterer


@dataclass(frozen=True)
class Method:
    """One method: where its estimator is, and what a tool gives it beside the estimator's own defaults."""

    module: str
    estimator: str
    defaults: dict[str, Any] = field(default_factory=dict)
    """Parameters on which a tool differs from the estimator: ``None`` lets the cells decide."""
    images: bool = False

    @property
    def type(self) -> type[GroupedClusterer]:
        """Return the estimator's class."""
        return getattr(importlib.import_module(self.module), self.estimator)


METHODS = {
    "atlas": Method("scfcmi.models.atlas", "AtlasFCMI"),
    "paper": Method(
        "scfcmi.models.paper",
        "FCMI",
        {"beta": None, "max_epochs": None, "warmup_epochs": None, "patience": 10},
        images=True,
    ),
}


def new_model(mode: str, *, images: bool = False, **given: Any) -> GroupedClusterer:
    """Return the estimator of a mode, not yet fitted.

    Parameters
    ----------
    mode
        Key of :data:`METHODS`.
    images
        Whether it is to be fitted on images.
    given
        Parameters that the user gave.

    Raises
    ------
    ValueError
        If there is no such mode, or it takes no images.
    TypeError
        If the mode has no use for a parameter.
    """
    _validate.one_of("mode", mode, METHODS)
    method = METHODS[mode]
    others = ", ".join(f"mode={name!r}" for name, other in METHODS.items() if other.images)
    if images and not method.images:
        msg = f"mode={mode!r} takes expression or a representation, not images. Use {others}."
        raise ValueError(msg)
    known = inspect.signature(method.type).parameters
    unknown = [name for name in given if name not in known]
    if unknown:
        having = [
            f"mode={name!r}"
            for name, other in METHODS.items()
            if set(unknown) <= set(inspect.signature(other.type).parameters)
        ]
        msg = f"mode={mode!r} does not take {', '.join(unknown)}." + (
            f" Drop it, or use {having[0]}." if having else ""
        )
        raise TypeError(msg)
    return method.type(**(method.defaults | given))


def load_model(path: str | os.PathLike[str]) -> GroupedClusterer:
    """Read a saved model, of atlas mode or of paper mode.

    Parameters
    ----------
    path
        File that ``save`` of the model, or ``scfcmi cluster --save-model``, has written.

    Returns
    -------
    The fitted :class:`scfcmi.AtlasFCMI` or :class:`scfcmi.FCMI`. Label new cells with :func:`scfcmi.tl.assign`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFormatError
        If the file is cut short, of another program, or of a newer format.
    """
    tensors, content = files.read(path, "model")
    name = content.get("estimator")
    for method in METHODS.values():
        if method.estimator == name:
            return method.type._from_file(path, tensors, content)
    msg = f"{str(path)!r} is no complete scfcmi model: it names the estimator {name!r}."
    raise ModelFormatError(msg)
