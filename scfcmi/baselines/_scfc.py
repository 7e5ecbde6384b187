from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi._random import RandomState, Stream, stream
from scfcmi.baselines._fairlets import fairlets
from scfcmi.baselines._inputs import check_inputs, principal_components

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

_LARGEST_Q = 15


def scfc(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    n_components: int | None = None,
    shuffle: bool = True,
    n_init: int = 10,
) -> np.ndarray:
    """Scalable fair clustering of two groups by fairlets (ScFC).

    A randomly shifted quadtree pairs near cells of either group into small fair sets; k-means of the medoids of these
    sets gives every cell of a set its cluster. Every cluster is at least as balanced as p / q, the largest such ratio
    that the data allow with q up to 15 (or 1 / q beyond).

    In some fifty dimensions and more nearly every cell is alone in a child of the tree's root, so cells are paired in
    the order they come in. Published tables were made in file order, where an image comes as its negative does, or
    all images of a class follow each other: their numbers (NMI 49.1 on Color Reverse MNIST) are those of the order,
    not of the method. ``shuffle=False`` gives them; cells in random order, the default, do not. A few principal
    components make the tree work in any order.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense.
    groups
        Group of each cell, shape (n_cells,). Two groups.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again.
    n_components
        Number of principal components to pair cells by. ``None`` pairs by the features, as published.
    shuffle
        Whether to bring cells into random order first.
    n_init
        Number of k-means++ seedings. The tightest result is taken.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If there are not two groups, or fewer fair sets than clusters, or an argument is not as said.

    References
    ----------
    Backurs et al., Scalable Fair Clustering, ICML 2019.
    """
    inputs = check_inputs(X, groups, n_clusters, random_state, dense=True)
    n_init = _validate.integer("n_init", n_init, minimum=1)
    if inputs.n_groups != 2:
        msg = f"ScFC serves two groups only, got {inputs.n_groups}."
        raise ValueError(msg)
    n_cells = len(inputs.X)
    _validate.boolean("shuffle", shuffle)
    order = stream(inputs.seed, Stream.SCFC_ORDER).permutation(n_cells) if shuffle else np.arange(n_cells)
    X, red = inputs.X[order], inputs.codes[order] == 0
    points = X if n_components is None else principal_components(X, n_components, inputs.seed)
    p, q = _ratio(*np.bincount(inputs.codes).tolist())
    sets = fairlets(points, red, p, q, stream(inputs.seed, Stream.SCFC_SHIFT))
    if len(sets) < inputs.n_clusters:
        msg = f"n_clusters must be at most the number of fair sets, {len(sets)}, got {inputs.n_clusters}."
        raise ValueError(msg)
    medoids = X[[members[_medoid(X[members])] for members in sets]]
    clusters = KMeans(inputs.n_clusters, n_init=n_init, random_state=inputs.seed).fit_predict(medoids)
    labels = np.empty(n_cells, dtype=np.int32)
    labels[order[np.concatenate(sets)]] = np.repeat(clusters, [len(members) for members in sets])
    return labels


def _ratio(a: int, b: int) -> tuple[int, int]:
    """Return the largest p / q of at most the smaller over the larger group, in integers."""
    few, many = sorted((a, b))
    p, q = max(
        ((q * few // many, q) for q in range(1, _LARGEST_Q + 1)),
        # Of equal ratios the one in lowest terms.
        key=lambda ratio: (ratio[0] / ratio[1], -ratio[1]),
    )
    return (p, q) if p else (1, -(-many // few))


def _medoid(points: np.ndarray) -> int:
    # Of two, either is; the first.
    return 0 if len(points) <= 2 else int(cdist(points, points).sum(axis=1).argmin())
