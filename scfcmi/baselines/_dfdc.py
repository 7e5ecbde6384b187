from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi import _validate
from scfcmi._random import RandomState, Stream, torch_stream
from scfcmi.baselines._autoencoder import flat, trains_on_cpu
from scfcmi.baselines._fair_repair import fair_repair
from scfcmi.baselines._inputs import Inputs, check_inputs
from scfcmi.baselines._neighbors import nearest

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    import torch
    from numpy.typing import ArrayLike
    from torch import Tensor, nn

_BATCH = 250
_WIDTHS = (1200, 1200)
# IMSAT's: weight of the information, of H(Y) within it, length of the probe, reach of a perturbation as a share of
# the distance to the tenth neighbor.
_INFORMATION, _EVENNESS = 0.1, 4.0
_PROBE = 10.0
_REACH, _NEIGHBOR = 0.25, 10


@trains_on_cpu
def dfdc(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    max_epochs: int = 100,
    fairness: float = 1.0,
) -> np.ndarray:
    """Deep fair discriminative clustering (DFDC), any number of groups.

    A network d-1200-1200-K (batch norm, ReLU, softmax) gives y. The first half of the passes lowers the loss of IMSAT,
    0.1 (H(Y|X) - 4 H(Y)) + the mean of KL(y(x) || y(x + t)), where t is the worst perturbation of a cell, found by one
    power iteration, as long as a quarter of the distance to its tenth neighbor. Before each further pass the fair
    labels nearest to y are found: :func:`fair_repair` at no tolerance, an exact transport within each group that keeps
    the sizes of clusters; ``fairness`` times the cross-entropy with them joins the loss. Adam at 0.002, 250 cells a
    step. The label is the largest y, not the transport's.

    H(Y) asks for clusters of one size: where types are uneven this method splits the large ones.

    Differs from the paper: its appendix with the weights was not at hand, so these are IMSAT's, from memory, and no
    weight decay; fully connected for images too; features are scaled to a mean square of one.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense, images flat.
    groups
        Group of each cell, shape (n_cells,). Any number of groups.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again, on the same machine and number of threads.
    max_epochs
        Number of passes over all cells, the second half of them with fairness.
    fairness
        Weight of the cross-entropy with the fair labels, the paper's beta: there the smallest that is fair enough.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Zhang and Davidson, Deep Fair Discriminative Clustering, 2021; Hu et al., Learning Discrete Representations via
    Information Maximizing Self-Augmented Training, ICML 2017.
    """
    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    max_epochs = _validate.integer("max_epochs", max_epochs, minimum=1)
    fairness = _validate.number("fairness", fairness)
    return _train(inputs, max_epochs, fairness)


def _train(inputs: Inputs, max_epochs: int, fairness: float) -> np.ndarray:
    import torch
    from torch.nn import functional as F

    from scfcmi.baselines import _deep

    x = _deep.to_tensor(inputs.X) * _deep.unit_scale(inputs.X)
    distances = nearest(x.numpy(), min(_NEIGHBOR, len(x) - 1))[1]
    reach = _REACH * _deep.to_tensor(distances[:, -1:])
    widths = (x.shape[1], *_WIDTHS, inputs.n_clusters)
    network = _deep.build(lambda: _deep.mlp(widths, batch_norm=True), inputs.seed, Stream.DFDC_WEIGHTS)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002, fused=True)
    generator = torch_stream(inputs.seed, Stream.DFDC_TRAINING)
    for epoch in range(max_epochs):
        fair = None
        if 2 * epoch >= max_epochs:
            soft = _deep.evaluate(network, x).softmax(dim=1)
            fair = torch.from_numpy(fair_repair(soft.numpy(), inputs.codes, delta=0, fair_enough=1).astype("int64"))
        for rows in _deep.batches(len(x), _BATCH, generator):
            logits = network(x[rows])
            loss = _information_loss(logits) + _roughness(network, x[rows], logits, reach[rows], generator)
            if fair is not None:
                loss = loss + fairness * F.cross_entropy(logits, fair[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return _deep.evaluate(network, x).argmax(dim=1).numpy().astype("int32")


def _information_loss(logits: Tensor) -> Tensor:
    soft = logits.softmax(dim=1)
    shares = soft.mean(dim=0)
    vague = -(soft * logits.log_softmax(dim=1)).sum(dim=1).mean()
    even = -(shares * shares.clamp_min(1e-8).log()).sum()
    return _INFORMATION * (vague - _EVENNESS * even)


def _roughness(network: nn.Module, x: Tensor, logits: Tensor, reach: Tensor, generator: torch.Generator) -> Tensor:
    """Return how far the worst small perturbation moves the assignment (virtual adversarial training)."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def moved(step: Tensor) -> Tensor:
        return F.kl_div(network(x + step).log_softmax(dim=1), before, reduction="batchmean")

    before = logits.detach().softmax(dim=1)
    norms = [layer for layer in network if isinstance(layer, nn.BatchNorm1d)]
    # Perturbed cells must not enter the running statistics.
    for norm in norms:
        norm.track_running_stats = False
    probe = _PROBE * F.normalize(torch.randn(x.shape, generator=generator, dtype=torch.float32), dim=1)
    probe.requires_grad_()
    worst = F.normalize(torch.autograd.grad(moved(probe), probe)[0], dim=1)
    loss = moved(reach * worst)
    for norm in norms:
        norm.track_running_stats = True
    return loss
