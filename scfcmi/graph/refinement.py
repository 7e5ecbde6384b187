"""Local search for a lower normalised cut, since k-means on eigenvectors only comes near it."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from scfcmi.graph.neighbors import links_between, modularity, normalised_cut

# Blocks a cluster, on average, of each pass: coarse blocks first.
_BLOCKS = (4, 8, 16)
# Of more, k-means would take minutes; and blocks of fewer than three cells are hardly any.
_MOST_BLOCKS, _CELLS_OF_BLOCK = 500, 3
# Draws of the blocks.
_DRAWS = 3
# Cuts so little above the lowest are as low: that of one partition differs by 3 to 5 % from seed to seed of the networks.
_AS_LOW = 1.05
# Below it, a gain is rounding.
_LEAST_GAIN = 1e-9


def refined_cut(graph: csr_matrix, codes: np.ndarray, starts: list[np.ndarray], seed: int) -> np.ndarray:
    """Return labels of a low normalised cut, found by local search.

    Cells move to another cluster where that lowers the cut, one at a time (Dhillon, Guan and Kulis, 2007, who call it
    local search). Where none does, a group of cells may: blocks of cells that k-means finds in the codes move likewise,
    coarse ones first (Karypis and Kumar, 1998), and then cells again. Of the cuts that are found, those within 5 % of
    the lowest are taken to be as low, and of these the one of the highest modularity is returned.

    Parameters
    ----------
    graph
        Symmetric, shape (n_cells, n_cells).
    codes
        Shape (n_cells, n_dims).
    starts
        Labels, each of shape (n_cells,), no number left out.
    seed
        Of the blocks.
    """
    # In single precision, what sums lose in rounding could pass for a gain again and again.
    graph = graph.astype(np.float64)
    n_clusters = starts[0].max() + 1
    most = min(_MOST_BLOCKS, len(codes) // _CELLS_OF_BLOCK)
    sizes = [n * n_clusters for n in _BLOCKS if n * n_clusters <= most]
    draws = [[_blocks(codes, n_blocks, seed + draw) for n_blocks in sizes] for draw in range(_DRAWS)]
    found = []
    for start in (_moved(graph, labels) for labels in starts):
        found += [start, *(_block_by_block(graph, blocks, start) for blocks in draws)]
    cuts = [normalised_cut(graph, labels) for labels in found]
    lowest = [labels for labels, value in zip(found, cuts, strict=True) if value <= _AS_LOW * min(cuts)]
    return max(lowest, key=lambda labels: modularity(graph, labels))


def _blocks(codes: np.ndarray, n_blocks: int, seed: int) -> np.ndarray:
    with warnings.catch_warnings():
        # Of cells that are all alike there are fewer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(n_blocks, n_init=1, random_state=seed).fit_predict(codes)


def _block_by_block(graph: csr_matrix, blocks_by_size: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    for blocks in blocks_by_size:
        # Of one cluster and one block of k-means: a block that moves leaves no cluster torn.
        n_blocks = blocks.max() + 1
        pieces, piece = np.unique(labels * n_blocks + blocks, return_inverse=True)
        labels = _moved(links_between(graph, piece), pieces // n_blocks)[piece]
    return _moved(graph, labels)


def _moved(graph: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Move nodes to other clusters until no move of one lowers the normalised cut; no cluster is emptied."""
    labels, nodes = labels.copy(), np.arange(len(labels))
    n_clusters = labels.max() + 1
    degree, own = np.asarray(graph.sum(axis=1)).ravel(), graph.diagonal()
    others = (graph - diags(own)).tocsr()
    # Links of each node to each cluster; of each cluster, all its links and those to itself.
    links = (others @ csr_matrix((np.ones(len(labels)), (nodes, labels)), shape=(len(labels), n_clusters))).toarray()
    volume = np.bincount(labels, degree, n_clusters)
    inside = np.bincount(labels, links[nodes, labels] + own, n_clusters)
    size = np.bincount(labels, minlength=n_clusters)

    def gains(moving: np.ndarray) -> np.ndarray:
        """By how much the cut falls if one of these nodes joins each cluster: shape (n_moving, n_clusters)."""
        here, row = labels[moving], np.arange(len(moving))
        kept = inside / np.maximum(volume, 1e-12)
        joined = (inside + 2 * links[moving] + own[moving, None]) / np.maximum(volume + degree[moving, None], 1e-12)
        left = (inside[here] - 2 * links[moving, here] - own[moving]) / np.maximum(volume[here] - degree[moving], 1e-12)
        gain = joined - kept + (left - kept[here])[:, None]
        gain[row, here] = 0
        gain[size[here] == 1] = 0
        return gain

    while True:
        highest = gains(nodes).max(axis=1)
        hopeful = np.flatnonzero(highest > _LEAST_GAIN)
        n_moves = 0
        for node in hopeful[np.argsort(-highest[hopeful], kind="stable")]:
            # Those before it may have changed what it gains.
            gain = gains(nodes[node : node + 1])[0]
            before, after = labels[node], gain.argmax()
            if gain[after] <= _LEAST_GAIN:
                continue
            inside[before] -= 2 * links[node, before] + own[node]
            inside[after] += 2 * links[node, after] + own[node]
            for counts, count in ((volume, degree[node]), (size, 1)):
                counts[before] -= count
                counts[after] += count
            row = slice(*others.indptr[node : node + 2])
            links[others.indices[row], before] -= others.data[row]
            links[others.indices[row], after] += others.data[row]
            labels[node] = after
            n_moves += 1
        if not n_moves:
            return labels
