"""Spherical k-means: the centers mu_k of the soft assignment.

Centers are not trained by gradient. After every epoch they are the best of several runs of k-means on the codes: one
that goes on from the last centers, and restarts, for a center that sits on outliers rarely leaves them by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from scfcmi.models.products import product

if TYPE_CHECKING:
    from torch import Tensor

# Restarts see at most this many codes; a winner among them is then refined on all.
_RESTART_SAMPLE = 20_000


def find_centers(
    codes: Tensor, n_clusters: int, generator: torch.Generator, *, last: Tensor | None = None, n_restarts: int = 5
) -> Tensor:
    """Return the centers of largest mean cosine among runs of k-means.

    Parameters
    ----------
    codes
        Codes of unit length, shape (n_cells, n_dims).
    n_clusters
        Number of centers, at most the number of cells.
    generator
        Source of the seeding, on the CPU.
    last
        Centers of the last call. One run goes on from these; a restart that wins is numbered after them.
    n_restarts
        Number of k-means++ seedings tried.

    Returns
    -------
    Centers of unit length, shape (n_clusters, n_dims).
    """
    sample = codes
    if len(codes) > _RESTART_SAMPLE:
        sample = codes[torch.randperm(len(codes), generator=generator, device="cpu")[:_RESTART_SAMPLE].to(codes.device)]
    runs = [] if last is None else [refine_centers(codes, last)]
    runs += [
        refine_centers(sample, _seed_centers(sample, n_clusters, generator), max_iter=100) for _ in range(n_restarts)
    ]
    best = max(range(len(runs)), key=lambda run: nearest_center(sample, runs[run])[1].mean().item())
    if last is None or best > 0:
        centers = runs[best] if sample is codes else refine_centers(codes, runs[best])
        return centers if last is None else _numbered_after(last, centers)
    return runs[best]


def refine_centers(codes: Tensor, centers: Tensor, *, max_iter: int = 20) -> Tensor:
    """Run Lloyd iterations from given centers until no code changes its center.

    A center left without codes is moved to the code that its own center fits worst.

    Parameters
    ----------
    codes
        Codes of unit length, shape (n_cells, n_dims).
    centers
        Centers to start from, shape (n_clusters, n_dims).
    max_iter
        Bound on the number of iterations.

    Returns
    -------
    Centers of unit length, shape (n_clusters, n_dims).
    """
    n_clusters = len(centers)
    last = None
    for _ in range(max_iter):
        labels, fit = nearest_center(codes, centers)
        sizes = torch.bincount(labels, minlength=n_clusters)
        empty = torch.nonzero(sizes == 0).flatten()
        if len(empty):
            worst = fit.argsort(stable=True)[: len(empty)]
            labels[worst] = empty
        elif last is not None and torch.equal(labels, last):
            break
        last = labels
        sums = torch.zeros_like(centers).index_add_(0, labels, codes)
        # Codes that cancel out leave no direction; such a center stays where it is.
        centers = torch.where(sums.norm(dim=1, keepdim=True) > 1e-8, F.normalize(sums, dim=1), centers)
    return centers


def nearest_center(codes: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each code the index of its nearest center and the cosine to it, both of shape (n_cells,)."""
    fit, labels = product(codes, centers.T).max(dim=1)
    return labels, fit


def _numbered_after(last: Tensor, centers: Tensor) -> Tensor:
    return centers[linear_sum_assignment((last @ centers.T).cpu().numpy(), maximize=True)[1]]


def _seed_centers(codes: Tensor, n_clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii, 2007) with squared Euclidean distance, 2 - 2 cos on the sphere."""
    first = torch.randint(len(codes), (1,), generator=generator, device="cpu").item()
    chosen = [first]
    distance = 1 - codes @ codes[first]
    for _ in range(n_clusters - 1):
        # Cumulated in double precision: unlike torch.multinomial this has no limit on the number of cells.
        cumulated = distance.clamp_min(0).double().cumsum(0)
        draw = torch.rand(1, generator=generator, dtype=torch.float64, device="cpu").to(codes.device) * cumulated[-1]
        index = int(torch.searchsorted(cumulated, draw, right=True).clamp_max(len(codes) - 1))
        chosen.append(index)
        distance = torch.minimum(distance, 1 - codes @ codes[index])
    return codes[chosen].clone()
