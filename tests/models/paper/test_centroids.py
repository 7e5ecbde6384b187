from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch.nn import functional as F

from scfcmi.models.paper import centroids
from scfcmi.models.paper.centroids import refine_centers


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def find(codes, n_clusters, **kwargs):
    return centroids.find_centers(codes, n_clusters, generator(), **kwargs)


def fit(codes, centers):
    return centroids.nearest_center(codes, centers)[1].mean().item()


@pytest.fixture
def modes():
    """Six tight modes on the sphere, of very different sizes."""
    g = generator(1)
    directions = F.normalize(torch.randn(6, 8, generator=g), dim=1)
    labels = torch.repeat_interleave(torch.arange(6), torch.tensor([400, 200, 100, 50, 25, 12]))
    return F.normalize(directions[labels] + 0.05 * torch.randn(len(labels), 8, generator=g), dim=1), labels


def test_finds_modes_and_returns_unit_centers(modes):
    codes, labels = modes
    centers = find(codes, 6)
    assert adjusted_rand_score(labels, centroids.nearest_center(codes, centers)[0]) == 1
    torch.testing.assert_close(centers.norm(dim=1), torch.ones(6))


def test_no_worse_than_scikit_learn_on_the_sphere():
    codes = F.normalize(torch.randn(2000, 6, generator=generator(2)), dim=1)
    theirs = KMeans(5, n_init=10, random_state=0).fit(codes.numpy()).cluster_centers_
    ours, theirs = find(codes, 5, n_restarts=10), F.normalize(torch.from_numpy(theirs), dim=1)
    assert fit(codes, ours) >= fit(codes, theirs) - 0.005


def test_same_seed_same_centers(modes):
    assert torch.equal(find(modes[0], 6), find(modes[0], 6))


def test_clusters_keep_their_numbers(modes):
    codes, _ = modes
    centers = find(codes, 6)
    # From centres all in one place a restart wins; it is numbered after the last centres all the same.
    shuffled = centers[torch.tensor([3, 1, 4, 0, 5, 2])]
    torch.testing.assert_close(find(codes, 6, last=shuffled), shuffled)
    rotated = F.normalize(shuffled + 0.5 * torch.randn(6, 8, generator=generator(3)), dim=1)
    labels = centroids.nearest_center(codes, find(codes, 6, last=rotated))[0]
    expected = centroids.nearest_center(codes, shuffled)[0]
    assert (labels == expected).float().mean() > 0.6


def test_a_restart_frees_a_centre_from_outliers():
    """Two tight modes of 200 codes and two stray codes: from a centre on the strays Lloyd goes nowhere."""
    g = generator(4)
    directions = F.normalize(torch.randn(4, 8, generator=g), dim=1)
    codes = torch.cat(
        [directions[:1].expand(200, -1), directions[1:2].expand(200, -1), directions[2:3].expand(200, -1)]
    )
    codes = F.normalize(torch.cat([codes, directions[3:]]) + 0.01 * torch.randn(601, 8, generator=g), dim=1)
    stuck = F.normalize(torch.stack([directions[0] + directions[1], directions[2], directions[3]]), dim=1)
    assert fit(codes, centroids.refine_centers(codes, stuck)) < 0.95
    assert fit(codes, find(codes, 3, last=stuck)) > 0.98


def test_empty_clusters_are_seeded_again(modes):
    codes, _ = modes
    far = F.normalize(-codes.mean(dim=0, keepdim=True), dim=1).expand(6, -1).clone()
    far[0] = codes[0]
    labels = centroids.nearest_center(codes, centroids.refine_centers(codes, far, max_iter=50))[0]
    assert torch.bincount(labels, minlength=6).min() > 0


def test_identical_codes_and_as_many_clusters_as_codes():
    codes = F.normalize(torch.ones(4, 3), dim=1)
    assert torch.isfinite(find(codes, 3)).all()
    codes = F.normalize(torch.randn(4, 3, generator=generator()), dim=1)
    assert sorted(centroids.nearest_center(codes, find(codes, 4))[0].tolist()) == [0, 1, 2, 3]


def test_large_inputs_restart_on_a_sample(monkeypatch, modes):
    codes, labels = modes
    monkeypatch.setattr(centroids, "_RESTART_SAMPLE", 500)
    centers = find(codes, 6)
    assert adjusted_rand_score(labels, centroids.nearest_center(codes, centers)[0]) > 0.99


def test_matches_lloyd_by_hand():
    angles = np.deg2rad([0, 20, 90, 110])
    codes = torch.from_numpy(np.c_[np.cos(angles), np.sin(angles)]).float()
    centers = centroids.refine_centers(codes, codes[[0, 2]])
    expected = np.deg2rad([10, 100])
    torch.testing.assert_close(centers, torch.from_numpy(np.c_[np.cos(expected), np.sin(expected)]).float())


def test_centers_are_those_of_all_cells(monkeypatch):
    """Restarts see a sample; the winner is refined on all."""
    g = torch.Generator().manual_seed(0)
    modes = F.normalize(torch.randn(4, 6, generator=g), dim=1)
    codes = F.normalize(modes.repeat(500, 1) + 0.2 * torch.randn(2000, 6, generator=g), dim=1)
    monkeypatch.setattr(centroids, "_RESTART_SAMPLE", 100)
    found = centroids.find_centers(codes, 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(centroids.refine_centers(codes, found, max_iter=1), found)


def test_a_restart_is_numbered_after_the_last_centers():
    g = torch.Generator().manual_seed(1)
    modes = F.normalize(torch.randn(6, 8, generator=g), dim=1)
    codes = F.normalize(modes.repeat(30, 1) + 0.02 * torch.randn(180, 8, generator=g), dim=1)
    # One center is lost among the others: a restart wins.
    last = modes.clone()
    last[5] = F.normalize(modes[0] + 0.01 * torch.randn(8, generator=g), dim=0)
    found = centroids.find_centers(codes, 6, torch.Generator().manual_seed(0), last=last)
    assert (found[:5] * modes[:5]).sum(dim=1).min() > 0.98
    assert (found[5] * modes[5]).sum() > 0.98


def test_a_center_whose_codes_cancel_out_stays():
    codes, center = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(refine_centers(codes, center), center)
