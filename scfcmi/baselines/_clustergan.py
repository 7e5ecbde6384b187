from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans

from scfcmi import _validate
from scfcmi._random import RandomState, Stream, torch_stream
from scfcmi.baselines._autoencoder import flat, trains_on_cpu
from scfcmi.baselines._inputs import check_inputs

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch
    from numpy.typing import ArrayLike
    from torch import Tensor, nn

_STEPS, _CRITIC_STEPS, _BATCH = 20_000, 5, 64
_WIDTHS, _LEAK, _RATE = (256, 256), 0.2, 1e-4
_NOISE_DIMS, _NOISE = 30, 0.1
_PENALTY, _RECOVERY = 10.0, 10.0


@trains_on_cpu
def clustergan(
    X: ArrayLike | sp.spmatrix,
    groups: ArrayLike,
    n_clusters: int,
    random_state: RandomState = 0,
    *,
    max_epochs: int | None = None,
) -> np.ndarray:
    """Cluster by the code that a generative adversarial network makes cells of (ClusterGAN), whatever the groups.

    A generator G makes a cell of a code z: noise of 30 dimensions, normal with standard deviation 0.1, and a cluster,
    one-hot, each as likely. An encoder E finds the code again, a critic D tells made cells from real ones. Five times

    - D lowers the mean of D(G(z)) - D(x) + 10 ``(|grad D(x')| - 1)^2``, x' lying anywhere between G(z) and x; then
    - G and E lower the mean of -D(G(z)) + 10 (squared error of the noise + cross-entropy of the cluster).

    Steps take 64 cells, by Adam at 1e-4 (0.5, 0.9), for G and E with a weight decay of 2.5e-5. Clusters are those of
    k-means (20 seedings) of E(x), noise beside softmax, of the real cells.

    The networks are those for features, of widths 256-256 with leaky ReLU (0.2); features are divided by the largest
    absolute value. E never sees a real cell: what G does not make, such as a rare type, is not found. All clusters being
    as likely, large types are split.

    Published numbers cannot be had here: the reference makes 500,000 steps, and convolutions for images; those on HAR
    and the mouse atlas are the FCMI authors' own, without a protocol.

    Parameters
    ----------
    X
        Features, dense or sparse, shape (n_cells, n_features). Sparse ones become dense, images flat.
    groups
        Group of each cell, shape (n_cells,). Checked, not used.
    n_clusters
        Number of clusters, K.
    random_state
        Seed. An integer gives the same labels again, on the same machine and number of threads.
    max_epochs
        Number of times the critic is shown as many cells as there are. ``None`` makes 20,000 steps of the generator of
        them, some ten minutes of one processor for 784 features.

    Returns
    -------
    Cluster of each cell, int32, shape (n_cells,).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    References
    ----------
    Mukherjee et al., ClusterGAN: Latent Space Clustering in Generative Adversarial Networks, AAAI 2019.
    """
    from scfcmi.baselines import _deep

    inputs = check_inputs(flat(X), groups, n_clusters, random_state, dense=True)
    steps = _STEPS
    if max_epochs is not None:
        per_epoch = -(-len(inputs.codes) // (_CRITIC_STEPS * _BATCH))
        steps = _validate.integer("max_epochs", max_epochs, minimum=1) * per_epoch
    x = _deep.to_tensor(inputs.X / (np.abs(inputs.X).max() or 1.0))
    _, encoder = _trained(x, inputs.n_clusters, inputs.seed, steps)
    found = _deep.evaluate(encoder, x)
    codes = np.hstack([found[:, :_NOISE_DIMS], found[:, _NOISE_DIMS:].softmax(dim=1)])
    return KMeans(inputs.n_clusters, n_init=20, random_state=inputs.seed).fit_predict(codes)


def _trained(x: Tensor, n_clusters: int, seed: int, steps: int) -> tuple[nn.Module, nn.Module]:
    """Return generator and encoder."""
    import torch
    from torch.nn import functional as F

    from scfcmi.baselines import _deep

    def network(n_inputs: int, n_outputs: int, purpose: int) -> nn.Sequential:
        widths = (n_inputs, *_WIDTHS, n_outputs)
        return _deep.build(lambda: _deep.mlp(widths, leak=_LEAK), seed, purpose)

    n_features, n_dims = x.shape[1], _NOISE_DIMS + n_clusters
    generator = network(n_dims, n_features, Stream.CLUSTERGAN_GENERATOR)
    encoder, critic = (
        network(n_features, n_dims, Stream.CLUSTERGAN_ENCODER),
        network(n_features, 1, Stream.CLUSTERGAN_CRITIC),
    )
    adam = {"lr": _RATE, "betas": (0.5, 0.9), "fused": True}
    weights = [*generator.parameters(), *encoder.parameters()]
    both = torch.optim.Adam(weights, weight_decay=2.5e-5, **adam)
    against = torch.optim.Adam(critic.parameters(), **adam)
    draws = torch_stream(seed, Stream.CLUSTERGAN_TRAINING)
    for _ in range(steps):
        # What the critic is shown between two steps of the generator is made at once.
        with torch.no_grad():
            made = generator(_code(n_clusters, _CRITIC_STEPS * _BATCH, draws)[0])
        real = x[torch.randint(len(x), (len(made),), generator=draws)]
        for pair in zip(real.split(_BATCH), made.split(_BATCH), strict=True):
            loss = _critic_loss(critic, *pair, draws)
            against.zero_grad()
            loss.backward()
            against.step()
        code, clusters = _code(n_clusters, _BATCH, draws)
        made = generator(code)
        noise, logits = encoder(made).split([_NOISE_DIMS, n_clusters], dim=1)
        lost = F.mse_loss(noise, code[:, :_NOISE_DIMS]) + F.cross_entropy(logits, clusters)
        loss = _RECOVERY * lost - critic(made).mean()
        both.zero_grad()
        # Those of the critic need no gradient here.
        loss.backward(inputs=weights)
        both.step()
    return generator, encoder


def _code(n_clusters: int, n_codes: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw codes, and which clusters they are of."""
    import torch
    from torch.nn import functional as F

    noise = _NOISE * torch.randn(n_codes, _NOISE_DIMS, generator=draws, dtype=torch.float32)
    clusters = torch.randint(n_clusters, (n_codes,), generator=draws)
    return torch.cat([noise, F.one_hot(clusters, n_clusters)], dim=1), clusters


def _critic_loss(critic: nn.Sequential, real: Tensor, made: Tensor, draws: torch.Generator) -> Tensor:
    import torch

    preactivation = critic[0](torch.cat([made, real]))
    of_made, of_real = critic[1:](preactivation).chunk(2)
    # The first layer is affine: what it makes of a cell between two lies between what it makes of these.
    between = torch.lerp(
        *preactivation.detach().chunk(2), torch.rand(len(real), 1, generator=draws, dtype=torch.float32)
    )
    slope = _gradient(critic, between).norm(dim=1)
    return of_made.mean() - of_real.mean() + _PENALTY * (slope - 1).square().mean()


def _gradient(critic: nn.Sequential, preactivation: Tensor) -> Tensor:
    """Return the gradient of the critic by cells as a function of its weights, given what its first layer makes of them.

    Between the kinks of its leaky ReLU the critic is linear, and its gradient a product of weights. To let autograd take
    the gradient of a gradient is slower.
    """
    import torch

    *hidden, last = critic[::2]
    factors = [torch.where(preactivation > 0, 1.0, _LEAK).to(preactivation.dtype)]
    with torch.no_grad():
        for linear in hidden[1:]:
            preactivation = linear(preactivation * factors[-1])
            factors.append(torch.where(preactivation > 0, 1.0, _LEAK).to(preactivation.dtype))
    gradient: Tensor = last.weight
    for linear, factor in zip(reversed(hidden), reversed(factors), strict=True):
        gradient = (gradient * factor) @ linear.weight
    return gradient
