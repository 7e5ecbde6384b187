from __future__ import annotations

import numpy as np

from scfcmi.models.atlas.cell_graph import cell_graph


def test_dimensions_of_ones_own_may_come_in_any_order():
    """An embedding such as scVI's has no first dimension."""
    rng = np.random.default_rng(0)
    codes = (rng.normal(size=(300, 30)) * rng.uniform(0.5, 2, 30)).astype(np.float32)
    graphs = [cell_graph(some, 1, rng, 0, whiten=False).of_cells() for some in (codes, codes[:, rng.permutation(30)])]
    np.testing.assert_allclose(graphs[0].toarray(), graphs[1].toarray(), atol=1e-4)


def test_copies_are_those_of_the_first_view():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(60, 10)), rng.normal(size=(180, 10))
    codes = np.hstack([np.repeat(first, 3, axis=0), second]).astype(np.float32)
    graph = cell_graph(codes, 2, rng, 0, whiten=False)
    assert graph.links.shape == (60, 60)
    np.testing.assert_array_equal(graph.place, np.repeat(np.arange(60), 3))
