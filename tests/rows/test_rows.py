from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scfcmi.rows import CSRRows, DenseRows, rows_of

CPU = torch.device("cpu")


@pytest.fixture
def matrix():
    return sp.random(50, 30, density=0.2, format="csr", dtype=np.float32, random_state=0)


@pytest.mark.parametrize("index", [[3], [49, 0, 7], [5, 5, 5], []])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
def test_sparse_and_dense_give_the_same(matrix, index, kind):
    index = np.array(index, dtype=np.int64)
    dense, sparse = rows_of(matrix.toarray(), CPU), rows_of(kind(matrix), CPU)
    assert isinstance(dense, DenseRows)
    assert isinstance(sparse, CSRRows)
    assert len(dense) == len(sparse) == 50
    assert torch.equal(dense.take(index), sparse.take(index))
    np.testing.assert_array_equal(dense.take(index), matrix.toarray()[index])


def test_entries_in_parts_are_added():
    parts = sp.csr_matrix((np.float32([1, 2, 3]), [1, 1, 0], [0, 2, 3]), shape=(2, 3))
    np.testing.assert_array_equal(CSRRows(parts, CPU).take(np.array([0, 1])), [[0, 3, 0], [3, 0, 0]])


def test_read_only_array():
    X = np.ones((3, 2), dtype=np.float32)
    X.flags.writeable = False
    assert DenseRows(X, CPU).take(np.array([1])).tolist() == [[1, 1]]


def test_sparse_is_never_densified_whole():
    matrix = sp.random(20_000, 2_000, density=0.01, format="csr", dtype=np.float32, random_state=0)
    tracemalloc.start()
    rows = rows_of(matrix, CPU)
    rows.take(np.arange(512))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 160 MB as a dense array; numpy's part of a mini-batch is a few
