from __future__ import annotations

import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from scfcmi.models import objective
from scfcmi.models.assignment import soft_assignment

LOG2 = math.log(2)


def total_loss(reconstruction, assignment, joint, weights):
    return objective.total_loss(reconstruction, weights, assignment=assignment, joint=joint)


def joint(rows):
    return torch.tensor(rows, dtype=torch.float64)


def distributions(rows, columns):
    floats = st.floats(0.01, 1)
    return hnp.arrays(np.float64, (rows, columns), elements=floats).map(lambda a: a / a.sum())


def assignments(n_cells, n_clusters):
    return hnp.arrays(np.float64, (n_cells, n_clusters), elements=st.floats(0.001, 1)).map(
        lambda a: torch.from_numpy(a / a.sum(axis=1, keepdims=True))
    )


def test_soft_assignment_by_hand():
    codes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    centers = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    high = 1 / (1 + math.exp(-10))
    expected = torch.tensor([[high, 1 - high], [1 - high, high]])
    torch.testing.assert_close(soft_assignment(codes, centers, 0.1), expected)


def test_soft_contingency_by_hand():
    assignment = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.25, 0.75]])
    table = objective.soft_contingency(assignment, torch.tensor([0, 0, 2, 2]), 3)
    torch.testing.assert_close(table, torch.tensor([[1.5, 0.5], [0.0, 0.0], [0.25, 1.75]]) / 4)


@pytest.mark.parametrize(
    ("table", "information"),
    [
        ([[0.25, 0.25], [0.25, 0.25]], 0.0),  # independent
        ([[0.5, 0.0], [0.0, 0.5]], LOG2),  # the cluster is the group
        ([[0.5, 0.0], [0.25, 0.25]], 1.5 * LOG2 - 0.75 * math.log(3)),
        ([[0.5, 0.5], [0.0, 0.0]], 0.0),  # a group without cells
    ],
)
def test_group_information_by_hand(table, information):
    """Eq. 6."""
    assert objective.group_information(joint(table)).item() == pytest.approx(information, abs=1e-12)


def test_entropies_by_hand():
    """Eq. 4 and 5."""
    certain = joint([[1.0, 0.0], [0.0, 1.0]])
    undecided = torch.full((4, 2), 0.5, dtype=torch.float64)
    assert objective.assignment_entropy(certain).item() == pytest.approx(0, abs=1e-12)
    assert objective.assignment_entropy(undecided).item() == pytest.approx(LOG2)
    assert objective.cluster_entropy(joint([[0.25, 0.25], [0.25, 0.25]])).item() == pytest.approx(LOG2)
    assert objective.cluster_entropy(joint([[0.5, 0.0], [0.5, 0.0]])).item() == pytest.approx(0, abs=1e-12)
    assert objective.cluster_entropy(joint([[0.75, 0.25]])).item() == pytest.approx(2 * LOG2 - 0.75 * math.log(3))


def test_losses_by_hand():
    """Eq. 7, 11 and 12: two certain, even, fair clusters."""
    assignment = joint([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    table = objective.soft_contingency(assignment, torch.tensor([0, 0, 1, 1]), 2)
    assert objective.clustering_loss(assignment, table).item() == pytest.approx(-LOG2)
    reconstruction = objective.reconstruction_loss(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    assert reconstruction.item() == 2.5
    total = total_loss(torch.tensor(2.5), assignment, table, objective.Weights(0.1, 0.2, 0.4))
    assert total.item() == pytest.approx(2.5 - 0.2 * LOG2)


@given(distributions(3, 1), distributions(1, 4))
def test_independent_tables_have_no_information(groups, clusters):
    assert objective.group_information(joint(groups * clusters)).item() == pytest.approx(0, abs=1e-12)


@given(distributions(3, 4))
def test_information_is_between_zero_and_the_entropies(table):
    table = joint(table)
    information = objective.group_information(table).item()
    assert -1e-12 <= information <= objective.cluster_entropy(table).item() + 1e-12
    assert information <= objective.cluster_entropy(table.T).item() + 1e-12


@given(assignments(6, 3))
def test_identities_of_the_paper(assignment):
    """Eq. 3 and 4: I(X;C|G) = H(C) - H(C|X) - I(G;C); with alpha = 1, beta = 1 + gamma, Eq. 12 is minus Eq. 2."""
    table = objective.soft_contingency(assignment, torch.tensor([0, 1, 0, 1, 1, 0]), 2)
    h_c, h_c_x = objective.cluster_entropy(table), objective.assignment_entropy(assignment)
    i_g_c = objective.group_information(table)
    i_x_c_g = h_c - h_c_x - i_g_c
    assert i_x_c_g > -1e-9
    told = objective.information(assignment, torch.tensor([0, 1, 0, 1, 1, 0]), 2)
    expected = {"H_C": h_c, "H_C_given_X": h_c_x, "I_G_C": i_g_c, "I_X_C_given_G": i_x_c_g}
    assert told == pytest.approx({name: max(value.item(), 0) for name, value in expected.items()}, abs=1e-12)
    gamma = 0.5
    total = total_loss(torch.zeros(()), assignment, table, objective.Weights(1, 1, 1 + gamma))
    torch.testing.assert_close(total, -(i_x_c_g - gamma * i_g_c))


def test_information_of_many_cells_is_not_lost_in_rounding():
    """Of clusters independent of the group, a sum in float32 shows hundreds of times the I(G;C) that there is."""
    rng = np.random.default_rng(0)
    n_cells, n_clusters = 1_000_000, 8
    scores = rng.normal(size=(n_cells, n_clusters)).astype(np.float32)
    scores[np.arange(n_cells), rng.integers(n_clusters, size=n_cells)] += 8
    soft, groups = torch.from_numpy(scores).softmax(dim=1), (rng.random(n_cells) < 0.2).astype(np.int64)
    table = np.stack([soft.numpy()[groups == group].sum(axis=0, dtype=float) for group in range(2)]) / n_cells
    shared = (table * np.log(table / np.outer(table.sum(axis=1), table.sum(axis=0)))).sum()
    assert shared < 1e-5
    told = objective.information(soft, torch.from_numpy(groups), 2)
    assert told["I_G_C"] == pytest.approx(shared, rel=1e-3)


@given(assignments(5, 3))
def test_gradients_agree_with_finite_differences(assignment):
    groups = torch.tensor([0, 2, 0, 2, 2])  # group 1 is absent
    logits = assignment.log().requires_grad_()

    def loss(logits):
        soft = logits.softmax(dim=1)
        table = objective.soft_contingency(soft, groups, 3)
        return total_loss(torch.zeros((), dtype=torch.float64), soft, table, objective.Weights(0.3, 0.5, 0.7))

    assert torch.autograd.gradcheck(loss, logits)


def test_gradients_are_finite_at_certainty():
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    soft = logits.softmax(dim=1)
    table = objective.soft_contingency(soft, torch.tensor([0, 1]), 4)
    total_loss(torch.zeros(()), soft, table, objective.Weights(1, 1, 1)).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("certainty", [1.0, 20.0])
def test_chance_information_is_what_independent_samples_show(certainty):
    """Against the mean over 400 random groupings of the same soft assignments; hard ones give (T-1)(K-1) / 2N."""
    generator = torch.Generator().manual_seed(0)
    n_cells, n_groups, n_clusters = 512, 30, 6
    logits = certainty * torch.randn(n_cells, n_clusters, generator=generator, dtype=torch.float64)
    assignment = logits.softmax(dim=1)
    shown, expected = [], []
    for _ in range(400):
        groups = torch.randint(n_groups, (n_cells,), generator=generator)
        table = objective.soft_contingency(assignment, groups, n_groups)
        shown.append(objective.group_information(table).item())
        expected.append(objective.chance_information(assignment, table).item())
    assert np.mean(shown) == pytest.approx(np.mean(expected), rel=0.12)
    if certainty == 20:
        assert np.mean(expected) == pytest.approx(29 * 5 / 1024, rel=0.1)


def test_chance_information_counts_groups_that_are_there():
    assignment = torch.eye(2).repeat(10, 1)
    table = objective.soft_contingency(assignment, torch.arange(20) % 4 // 2, 7)
    assert objective.chance_information(assignment, table).item() == pytest.approx(1 / 40)


def test_assignments_agree_at_least_as_codes_do():
    """The mean of KL(c || c') is at most 2 / tau sqrt(2 L_agr), and zero where codes are the same."""
    generator = torch.Generator().manual_seed(0)
    codes, centers = (
        F.normalize(torch.randn(n, 10, generator=generator, dtype=torch.float64), dim=1) for n in (200, 5)
    )
    for noise in (0.0, 0.05, 0.3):
        others = F.normalize(codes + noise * torch.randn(codes.shape, generator=generator, dtype=torch.float64), dim=1)
        for temperature in (0.01, 0.1, 1.0):
            c, c_other = (soft_assignment(h, centers, temperature) for h in (codes, others))
            divergence = (torch.xlogy(c, c) - torch.xlogy(c, c_other)).sum(dim=1).mean().item()
            bound = 2 / temperature * np.sqrt(2 * objective.agreement_loss(codes, others).clamp(min=0).item())
            assert divergence <= bound + 1e-9


def test_atlas_mode_is_the_same_objective_with_alpha_and_beta_zero():
    """Eq. 12 without its last two terms, plus the agreement term: no assignment is needed."""
    weights = objective.Weights(agreement=4.0)
    assert (weights.compactness, weights.balance, weights.fairness) == (0, 0, 0)
    found = objective.total_loss(torch.tensor(2.0), weights, agreement=torch.tensor(0.25))
    assert float(found) == 3.0
    soft = torch.softmax(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    table = objective.soft_contingency(soft, torch.arange(40) % 2, 2)
    with_terms = objective.total_loss(
        torch.tensor(2.0), weights, assignment=soft, joint=table, agreement=torch.tensor(0.25)
    )
    torch.testing.assert_close(with_terms, found)


def test_information_of_clusters_that_are_the_groups():
    """Hard clusters equal to two even groups: H(C) = I(G;C) = log 2, and nothing is left given the group."""
    found = objective.information(torch.eye(2).repeat(5, 1), torch.arange(10) % 2, 2)
    assert found["H_C"] == pytest.approx(np.log(2), abs=1e-6)
    assert found["I_G_C"] == pytest.approx(np.log(2), abs=1e-6)
    assert found["H_C_given_X"] == pytest.approx(0, abs=1e-6)
    assert found["I_X_C_given_G"] == pytest.approx(0, abs=1e-6)


def test_squared_distance_is_the_reconstruction_loss_times_the_features():
    inputs, outputs = torch.randn(2, 12, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        objective.squared_distance(inputs, outputs), 7 * objective.reconstruction_loss(inputs, outputs)
    )


def test_agreement_is_one_minus_the_cosine():
    codes, others = F.normalize(torch.randn(2, 3, 50, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    expected = 1 - (codes * others).sum(dim=-1).mean(dim=-1)
    torch.testing.assert_close(objective.agreement_loss(codes, others), expected)


def test_smoothness_is_zero_where_all_move_alike():
    start = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    moved = torch.ones_like(start)
    assert objective.smoothness_loss(moved, moved.clone()).tolist() == [0, 0]
    torch.testing.assert_close(objective.smoothness_loss(moved, torch.zeros_like(moved)), torch.full((2,), 1.5))


def test_information_does_not_depend_on_the_parts(monkeypatch):
    soft = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    groups = torch.arange(50) % 3
    whole = objective.information(soft, groups, 3)
    monkeypatch.setattr(objective, "_PART", 7)
    assert objective.information(soft, groups, 3) == pytest.approx(whole, rel=1e-9)
    table = objective.soft_contingency(soft.double(), groups, 3)
    assert whole["H_C_given_X"] == pytest.approx(objective.assignment_entropy(soft.double()).item())
    assert whole["H_C"] == pytest.approx(objective.cluster_entropy(table).item())


def test_an_empty_cluster_has_no_chance_information():
    assignment = torch.eye(3)[torch.arange(20) % 2]
    table = objective.soft_contingency(assignment, torch.arange(20) % 4 // 2, 2)
    assert objective.chance_information(assignment, table).item() == pytest.approx(1 / 40)
