"""Where a model computes, and how precisely."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` is CUDA if there is one, else the CPU.

    Raises
    ------
    ValueError
        If torch cannot use it here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        msg = f"device {name!r} cannot be used ({reason}). Use 'auto', 'cpu', or 'cuda' where there is one."
        raise ValueError(msg) from error
    return device


def half_precision(precision: str, device: torch.device, *, images: bool) -> bool:
    """Say whether to compute in bfloat16; ``"auto"`` does on a GPU, and for images, if there are instructions for it.

    On a CPU, products in bfloat16 depend on the number of threads. Those of images do in float32, too.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public question for it yet; where the private one is missing, float32 is always right.
    return images and device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
