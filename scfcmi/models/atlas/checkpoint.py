"""Components on disk: a run that is killed while it trains goes on without reading expression again."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfcmi._logging import logger
from scfcmi.models.atlas.network import AtlasArchitecture, AtlasNetwork
from scfcmi.models.files import check_run, network_tensors, read, read_network, write

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import Tensor

    from scfcmi.rows import Rows

# Rows by whose values a checkpoint knows its data: few, since each may lie in another chunk.
_N_ROWS = 16
# Raised whenever components come out differently.
_METHOD = 2


def identity(rows: Rows, groups: np.ndarray, n_components: int | None, seed: int) -> dict[str, Any]:
    """Say whose run it is: all that components and first weights depend on."""
    some = rows.take(np.unique(np.linspace(0, len(rows) - 1, _N_ROWS).astype(np.int64)))
    values = zlib.crc32(np.ascontiguousarray(some.cpu().numpy()))
    return {
        "data": values,
        "shape": list(rows.shape),
        "n_components": n_components,
        "groups": zlib.crc32(groups),
        "random_state": seed,
        "method": _METHOD,
    }


def kept(
    path: str | os.PathLike[str], run: dict[str, Any], compute: Callable[[], tuple[AtlasNetwork, Tensor]]
) -> tuple[AtlasNetwork, Tensor]:
    """Return the untrained network and the components that a file holds; compute them and write the file if there is none.

    Raises
    ------
    ModelFormatError
        If the file is no checkpoint.
    ValueError
        If it belongs to a run with other data or settings.
    """
    if not Path(path).exists():
        network, components = compute()
        tensors = network_tensors(network) | {"components": components.transpose(0, 1)}
        write(path, "checkpoint", tensors, {"run": run, "architecture": asdict(network.architecture)})
        return network, components
    tensors, content = read(path, "checkpoint")
    check_run(path, content["run"], run)
    network = read_network(lambda **a: AtlasNetwork(AtlasArchitecture(**a)), content["architecture"], tensors, path)
    logger.info("took up the components of %s", path)
    return network, tensors["components"].transpose(0, 1)
