from __future__ import annotations

import numpy as np

from scfcmi.graph.sample import rare_keeping_sample


def test_rare_types_are_kept():
    """A type of 40 among 40,000 cells: a uniform draw of a quarter would hold ten of them."""
    rng = np.random.default_rng(0)
    types = np.repeat([0, 1, 2], [30_000, 9_960, 40])
    codes = rng.normal(size=(3, 20))[types] * 3 + rng.normal(size=(40_000, 20)) * 0.3
    sample = rare_keeping_sample(codes, 10_000, rng)
    assert len(sample) == len(np.unique(sample)) == 10_000
    assert (np.diff(sample) > 0).all()
    assert (types[sample] == 2).sum() >= 30
    np.testing.assert_array_equal(rare_keeping_sample(codes[:100], 4000, rng), np.arange(100))
