"""First weights of a network, from a generator of its own: torch's global one belongs to the whole process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=nn.Module)

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
    generator is neither read nor moved on, so other threads may draw from it at the same time. Nor does the default type of
    torch matter.

    Parameters
    ----------
    make
        Builds the network on the CPU.
    generator
        On the CPU.
    """
    with _DrawingFrom(generator):
        return make()


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
        if func in _MAKES and kwargs.get("dtype") is None:
            kwargs["dtype"] = torch.float32
        return func(*args, **kwargs)
