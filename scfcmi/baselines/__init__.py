"""Other methods to compare with: fair or not, with or without deep learning. Arrays in, labels out.

All are called alike, ``method(X, groups, n_clusters, random_state=0, ...)``, and return the cluster of each cell as an
integer from zero. ``METHODS`` lists them by name. Those in ``TWO_GROUPS_ONLY`` refuse any other number of groups. Those in
``DEEP`` train a network on the CPU and take ``max_epochs``. :func:`pretrain_autoencoder` trains the network that AE +
k-means, DEC and Towards start from, once for all three. :func:`fair_repair` makes the soft assignment of any method fair.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from scfcmi.baselines._ae_kmeans import ae_kmeans
from scfcmi.baselines._autoencoder import pretrain_autoencoder
from scfcmi.baselines._clustergan import clustergan
from scfcmi.baselines._dac import dac
from scfcmi.baselines._dec import dec
from scfcmi.baselines._dfc import dfc
from scfcmi.baselines._dfdc import dfdc
from scfcmi.baselines._fair_repair import fair_repair
from scfcmi.baselines._falg import falg
from scfcmi.baselines._harmony_kmeans import harmony_kmeans
from scfcmi.baselines._harmony_leiden import harmony_leiden
from scfcmi.baselines._kmeans import kmeans
from scfcmi.baselines._pca_kmeans import pca_kmeans
from scfcmi.baselines._scfc import scfc
from scfcmi.baselines._spfc import spfc
from scfcmi.baselines._towards import towards
from scfcmi.baselines._vfc import vfc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

__all__ = [
    "DEEP",
    "METHODS",
    "TWO_GROUPS_ONLY",
    "ae_kmeans",
    "clustergan",
    "dac",
    "dec",
    "dfc",
    "dfdc",
    "fair_repair",
    "falg",
    "harmony_kmeans",
    "harmony_leiden",
    "kmeans",
    "pca_kmeans",
    "pretrain_autoencoder",
    "scfc",
    "spfc",
    "towards",
    "vfc",
]

_SHALLOW = (kmeans, pca_kmeans, harmony_kmeans, harmony_leiden, falg, vfc, spfc, scfc)
_DEEP = (ae_kmeans, dec, dac, clustergan, towards, dfc, dfdc)
METHODS: Mapping[str, Callable[..., np.ndarray]] = MappingProxyType(
    {method.__name__: method for method in (*_SHALLOW, *_DEEP)}
)
DEEP = frozenset(method.__name__ for method in _DEEP)
TWO_GROUPS_ONLY = frozenset({"dfc", "scfc"})
