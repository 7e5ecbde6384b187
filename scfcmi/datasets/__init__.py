"""The benchmarks, each as one AnnData; and atlases made up for scale."""

from __future__ import annotations

from scfcmi.datasets._digits import mnist_usps, reverse_mnist
from scfcmi.datasets._har import har
from scfcmi.datasets._images import mtfl, office31
from scfcmi.datasets._simulate import simulate_atlas
from scfcmi.datasets._tran import human_dc, mouse_atlas, pancreas

__all__ = [
    "har",
    "human_dc",
    "mnist_usps",
    "mouse_atlas",
    "mtfl",
    "office31",
    "pancreas",
    "reverse_mnist",
    "simulate_atlas",
]
