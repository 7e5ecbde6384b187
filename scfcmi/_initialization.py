"""Training that does not depend on what its caller has told torch: generator, defaults, gradients, autocast.

All of these belong to the whole process, or to the thread of the caller.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

M = TypeVar("M", bound=nn.Module)
P, T = ParamSpec("P"), TypeVar("T")

# How the layers of torch, and ours, draw first weights.
_DRAWS = frozenset(
    {
        Tensor.uniform_,
        Tensor.normal_,
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.kaiming_uniform_,
        nn.init.xavier_uniform_,
    }
)

# How they make the tensors that these numbers fill.
_MAKES = frozenset({torch.empty, torch.zeros, torch.ones})


def initialized(make: Callable[[], M], generator: torch.Generator) -> M:
    """Return a network whose first weights come from ``generator`` and from nothing else, in single precision.

    They are the numbers that torch draws by itself after ``torch.manual_seed`` with the generator's seed. The global
    generator is neither read nor moved on, so other threads may draw from it at the same time. Nor do the default type and
    the default device of torch matter.

    Parameters
    ----------
    make
        Builds the network on the CPU.
    generator
        On the CPU.
    """
    with _DrawingFrom(generator):
        return make()


def with_gradients(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method train where its caller has switched gradients off, or ``torch.autocast`` on."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with gradients():
            return method(*args, **kwargs)

    return wrapped


@contextmanager
def gradients() -> Iterator[None]:
    """Switch gradients on and ``torch.autocast`` off, in this thread."""
    with ExitStack() as settings:
        settings.enter_context(torch.inference_mode(mode=False))
        settings.enter_context(torch.enable_grad())
        for device in filter(torch.is_autocast_enabled, ("cpu", "cuda")):
            settings.enter_context(torch.autocast(device, enabled=False))
        yield


class _DrawingFrom(TorchFunctionMode):
    """Hands a generator to whatever fills a tensor at random, and a type to what makes one; of the thread that enters it."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _DRAWS:
            kwargs["generator"] = self._generator
        for name, value, functions in (("dtype", torch.float32, _MAKES), ("device", "cpu", _MAKES | {torch.tensor})):
            if func in functions and kwargs.get(name) is None:
                kwargs[name] = value
        return func(*args, **kwargs)
