from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scfcmi.rows import CSRRows, DenseRows, rows_of, value_range

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


@pytest.mark.parametrize("n_rows", [None, 1, 7, 50, 64])
def test_blocks_are_all_rows_in_order(matrix, n_rows):
    for rows in (rows_of(matrix), rows_of(matrix.toarray())):
        blocks = list(rows.blocks(n_rows))
        np.testing.assert_array_equal(torch.cat(blocks), matrix.toarray())
        assert n_rows is None or all(len(block) <= n_rows for block in blocks)
        assert rows.shape == (50, 30)


def test_the_range_of_all_values(matrix):
    for rows in (rows_of(matrix), rows_of(matrix.toarray())):
        assert value_range(rows) == (matrix.toarray().min(), matrix.toarray().max())


def test_a_fingerprint_follows_the_values(matrix):
    for convert in (lambda X: X, lambda X: X.toarray()):
        before = rows_of(convert(matrix)).fingerprint()
        assert rows_of(convert(matrix.copy())).fingerprint() == before
        assert rows_of(convert(matrix * 2)).fingerprint() != before
        assert rows_of(convert(matrix[:, ::-1].copy())).fingerprint() != before
