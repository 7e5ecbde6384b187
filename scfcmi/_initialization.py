"""First weights of a network, from a generator of its own: torch's global one belongs to the whole process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

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


def initialized(make: Callable[[], M], generator: torch.Generator) -> M:
    """Return a network whose first weights come from ``generator`` and from nothing else.

    They are the numbers that torch draws by itself after ``torch.manual_seed`` with the generator's seed. The global
    generator is neither read nor moved on, so other threads may draw from it at the same time.

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
    """Hands a generator to whatever fills a tensor at random; of the thread that enters it alone."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return func(*args, **(kwargs | {"generator": self._generator} if func in _DRAWS else kwargs))
