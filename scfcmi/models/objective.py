"""The objective of FCMI as pure functions of tensors, in nats: Eq. 4 to 12, and two terms of atlas mode.

Every method here minimizes :func:`total_loss`; a method is a choice of :class:`Weights`, of a network and of a way to
cut. Equation numbers are those of Zeng et al., *Deep Fair Clustering via Maximizing and Minimizing Mutual
Information*, CVPR 2023. Throughout, ``assignment`` is the soft cluster assignment, shape (n_cells, n_clusters),
rows summing to one; ``groups`` holds integer group codes, shape (n_cells,); ``joint`` is the soft contingency
table of groups and clusters, shape (n_groups, n_clusters), summing to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

# Cells whose information is computed together.
_PART = 100_000


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of Eq. 12, each on its own, and of two terms of atlas mode. L_rec has weight one."""

    compactness: float = 0.0
    """Weight of H(C|X); the paper's alpha."""
    balance: float = 0.0
    """Weight of -H(C); the paper's alpha as well."""
    fairness: float = 0.0
    """Weight of I(G;C); the paper's beta."""
    agreement: float = 0.0
    """Weight of L_agr; not in the paper."""
    smoothness: float = 0.0
    """Weight of L_smooth; not in the paper."""


def soft_contingency(assignment: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """Return the joint distribution of groups and clusters, p(g_t, c_k) below Eq. 6.

    Groups without a cell are rows of zeros.
    """
    table = assignment.new_zeros((n_groups, assignment.shape[1]))
    return table.index_add(0, groups, assignment) / assignment.shape[0]


def assignment_entropy(assignment: Tensor) -> Tensor:
    """H(C|X), equal to H(C|X,G), of Eq. 4: zero where every cell is assigned with certainty."""
    return -_x_log_y(assignment, assignment).sum(dim=1).mean()


def cluster_entropy(joint: Tensor) -> Tensor:
    """H(C) of Eq. 5: log(n_clusters) where all clusters are of one size."""
    clusters = joint.sum(dim=0)
    return -_x_log_y(clusters, clusters).sum()


def group_information(joint: Tensor) -> Tensor:
    """I(G;C) of Eq. 6, which is L_fair of Eq. 8: zero if and only if clusters are independent of groups."""
    groups = joint.sum(dim=1, keepdim=True)
    clusters = joint.sum(dim=0, keepdim=True)
    return (_x_log_y(joint, joint) - _x_log_y(joint, groups * clusters)).sum()


def chance_information(assignment: Tensor, joint: Tensor) -> Tensor:
    """Return the I(G;C) that a sample of this size shows where groups and clusters are independent.

    To second order, half the chi-squared of the table, its expectation is
    ``(T - 1) / 2N * sum_k Var_i(c_ik) / p(c_k)`` for T groups present and N cells. For hard assignments that is
    ``(T - 1)(K - 1) / 2N`` (Miller, 1955). Left in the loss it rewards whatever lowers it: fewer and vaguer clusters.
    """
    # Of the dtype of the table, not of torch's default, which users may set.
    n_cells, n_present = len(assignment), (joint.sum(dim=1) > 0).sum().to(joint.dtype)
    clusters = joint.sum(dim=0)
    variance = assignment.square().mean(dim=0) - clusters.square()
    return (n_present - 1) / (2 * n_cells) * (variance / clusters.clamp_min(torch.finfo(clusters.dtype).tiny)).sum()


def clustering_loss(assignment: Tensor, joint: Tensor) -> Tensor:
    """L_clu = H(C|X) - H(C) of Eq. 7."""
    return assignment_entropy(assignment) - cluster_entropy(joint)


def reconstruction_loss(inputs: Tensor, outputs: Tensor) -> Tensor:
    """L_rec of Eq. 11, as the mean over cells and features of the squared error.

    By Eq. 9 and 10 it bounds H(X|X') from above up to constants, so that lowering it raises I(X;X').
    """
    return F.mse_loss(outputs, inputs)


def squared_distance(inputs: Tensor, outputs: Tensor) -> Tensor:
    """L_rec of Eq. 11, as the mean over cells of the squared error summed over features.

    It is :func:`reconstruction_loss` times the number of features. Atlas mode uses it on principal components: their number
    says nothing of how much they vary.
    """
    return (outputs - inputs).square().sum(dim=-1).mean()


def agreement_loss(codes: Tensor, counterparts: Tensor) -> Tensor:
    """L_agr = E ||h - h'||^2 / 2 = 1 - E cos(h, h') over cells and their counterparts in other groups.

    Not in the paper. By the bound behind Eq. 9 and 10, ``I(H;H') >= H(H') + E log q(h'|h)`` for any q. With the von
    Mises-Fisher density ``q(h'|h) ~ exp(kappa cos(h, h'))`` on the sphere, raising the information that the code of a
    cell and that of its counterpart share is lowering ``kappa L_agr``, while L_rec holds the entropy of codes up. The weight of the
    term is kappa.

    Parameters
    ----------
    codes
        Unit length, shape (..., n_pairs, n_dims).
    counterparts
        Codes of the counterparts, in the same order.

    Returns
    -------
    The mean over pairs, shape (...).
    """
    return (codes - counterparts).square().sum(dim=-1).mean(dim=-1) / 2


def smoothness_loss(moved: Tensor, neighbors_moved: Tensor) -> Tensor:
    """L_smooth = E ||(h - z) - (h' - z')||^2 / 2 over cells and neighbors of them in the same group.

    Not in the paper. Training moves a cell from z, its components at unit length, to its code h. Neighbors z' of one group should
    move alike: a difference between two groups is the same for similar cells, as in the correction vectors of Haghverdi et al.
    (2018), which are averaged over neighbors. So cells with few counterparts follow those with many.

    Parameters
    ----------
    moved
        Code less components of unit length, shape (..., n_pairs, n_dims).
    neighbors_moved
        The same of a neighbor of each cell.

    Returns
    -------
    The mean over pairs, shape (...).
    """
    return agreement_loss(moved, neighbors_moved)


def total_loss(
    reconstruction: Tensor,
    weights: Weights,
    *,
    assignment: Tensor | None = None,
    joint: Tensor | None = None,
    agreement: Tensor | None = None,
    smoothness: Tensor | None = None,
) -> Tensor:
    """L = L_rec + alpha L_clu + beta L_fair of Eq. 12, alpha's two halves weighted apart, plus L_agr and L_smooth.

    Parameters
    ----------
    reconstruction
        L_rec, a scalar.
    weights
        ``compactness = balance = alpha``, ``fairness = beta`` and ``agreement = 0`` give the paper's objective. Atlas
        mode has ``alpha = beta = 0``, which the paper calls "beta = 0" for its atlas, and ``agreement > 0``.
    assignment, joint
        Soft assignment and contingency table. ``None`` where alpha and beta are 0.
    agreement, smoothness
        L_agr and L_smooth, scalars. ``None`` where their weights are 0.
    """
    loss = reconstruction
    if assignment is not None:
        loss = (
            loss
            + weights.compactness * assignment_entropy(assignment)
            - weights.balance * cluster_entropy(joint)
            + weights.fairness * group_information(joint)
        )
    if agreement is not None:
        loss = loss + weights.agreement * agreement
    return loss if smoothness is None else loss + weights.smoothness * smoothness


def information(assignment: Tensor, groups: Tensor, n_groups: int) -> dict[str, float]:
    """Return what clusters, cells and groups tell of each other, in nats.

    Parameters
    ----------
    assignment
        Soft assignment of all cells, shape (n_cells, n_clusters).
    groups
        Group codes, shape (n_cells,).
    n_groups
        Number of groups.

    Returns
    -------
    ``H_C``, ``H_C_given_X``, ``I_G_C`` and ``I_X_C_given_G``: H(C), H(C|X), I(G;C) and I(X;C|G) of Eq. 3 to 6.
    """
    n_cells, joint, undecided = len(assignment), 0.0, 0.0
    # In parts, since logarithms of millions of cells take much memory. In double precision, since a sum of as many
    # float32 loses more than all of a small I(G;C). On the processor, since not every other device has it.
    for part, of_group in zip(assignment.split(_PART), groups.split(_PART), strict=True):
        part, share = part.cpu().double(), len(part) / n_cells
        joint = joint + share * soft_contingency(part, of_group.cpu(), n_groups)
        undecided = undecided + share * assignment_entropy(part)
    entropy, shared = cluster_entropy(joint), group_information(joint)
    terms = {"H_C": entropy, "H_C_given_X": undecided, "I_G_C": shared, "I_X_C_given_G": entropy - undecided - shared}
    # None is negative, but for rounding.
    return {name: max(float(value), 0.0) for name, value in terms.items()}


def _x_log_y(x: Tensor, y: Tensor) -> Tensor:
    # The floor keeps value and gradient finite at zero, where a group is absent from a mini-batch.
    return x * y.clamp_min(torch.finfo(y.dtype).tiny).log()
