"""Rows outside of memory: in h5ad files, in zarr stores, in Dask arrays."""

from __future__ import annotations

import tracemalloc
import types

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import torch
import zarr

from scfcmi.rows import ChunkedRows, outside, rows_of, summarize, warn_of_missing_chunks

da = pytest.importorskip("dask.array")

FORMS = ["h5 dense", "h5 csr", "zarr dense", "zarr csr", "dask dense", "dask csr", "dask of many columns"]


@pytest.fixture
def matrix():
    X = sp.random(103, 30, density=0.2, format="csr", dtype=np.float32, random_state=0)
    X.data -= 0.3
    return X


@pytest.fixture
def source(matrix, tmp_path, request):
    kind, _, form = request.param.partition(" ")
    if kind == "dask":
        X = da.from_array(matrix.toarray(), chunks=(17, -1 if form != "of many columns" else 7))
        return outside(X.map_blocks(sp.csr_matrix) if form == "csr" else X, "adata.X")
    root = (
        h5py.File(tmp_path / "a.h5", "w")
        if kind == "h5"
        else zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    )
    ad.io.write_elem(root, "X", matrix if form == "csr" else matrix.toarray())
    return outside(ad.io.sparse_dataset(root["X"]) if form == "csr" else root["X"], "adata.X")


@pytest.mark.parametrize("source", FORMS, indirect=True)
def test_a_source_holds_the_matrix(source, matrix):
    expected = matrix.toarray()
    assert isinstance(source, ChunkedRows)
    assert len(source) == 103
    assert source.shape == expected.shape
    for n_rows in (None, 1, 10, 200):
        blocks = list(source.blocks(n_rows))
        np.testing.assert_array_equal(torch.cat(blocks), expected)
        assert len(blocks) == source.n_blocks(n_rows)
    starts, heads = zip(*source.map(lambda block, start: (start, block[0].numpy()), 10), strict=True)
    np.testing.assert_array_equal(np.stack(heads), expected[list(starts)])
    for index in ([5, 5, 5], [102, 0, 7, 50], [3]):
        np.testing.assert_array_equal(source.take(np.array(index)), expected[index])
    whole = source.to_memory()
    np.testing.assert_array_equal(whole.toarray() if sp.issparse(whole) else whole, expected)


@pytest.mark.parametrize("source", FORMS, indirect=True)
def test_columns_and_rows_of_a_source(source, matrix):
    columns, rows = np.array([7, 2, 29]), np.array([0, 16, 17, 90])
    chosen = source.with_columns(columns)
    expected = matrix.toarray()[:, columns]
    np.testing.assert_array_equal(torch.cat(list(chosen.blocks())), expected)
    some = chosen.subset(rows, np.array([2, 0]))
    np.testing.assert_array_equal(some.take(np.arange(4)), expected[rows][:, [2, 0]])
    np.testing.assert_array_equal(chosen.with_columns(np.array([1])).take(rows), expected[rows][:, [1]])
    assert source.shape == (103, 30)


@pytest.mark.parametrize("source", FORMS, indirect=True)
def test_moments_do_not_depend_on_the_source(source, matrix):
    inside, out = summarize(rows_of(matrix)), summarize(source)
    np.testing.assert_array_equal(inside.mean.astype(np.float32), out.mean.astype(np.float32))
    np.testing.assert_array_equal(inside.variance.astype(np.float32), out.variance.astype(np.float32))
    assert inside.largest == out.largest == np.abs(matrix.data).max()
    np.testing.assert_allclose(inside.variance, matrix.toarray().var(axis=0, ddof=1), rtol=1e-5)


def test_what_is_in_memory_is_no_source_outside(matrix):
    assert outside(matrix, "X") is None
    assert outside(matrix.toarray(), "X") is None
    assert outside(None, "X") is None


def test_little_of_a_file_is_in_memory(tmp_path):
    X = sp.random(120_000, 1000, density=0.1, format="csr", dtype=np.float32, random_state=0)
    with h5py.File(tmp_path / "a.h5", "w") as root:
        ad.io.write_elem(root, "X", X)
    del X
    with h5py.File(tmp_path / "a.h5") as root:
        rows = outside(ad.io.sparse_dataset(root["X"]), "X")
        tracemalloc.start()
        n_rows = sum(len(block) for block in rows.blocks())
        rows.subset(np.arange(0, 120_000, 100), np.arange(10))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert n_rows == 120_000
    # 96 MB as a CSR matrix, 480 MB dense; a chunk of 16 MB is read at a time, and copied by anndata 0.13
    assert peak < 60e6


def test_unknown_sizes_text_and_large_chunks_of_columns():
    X = da.from_array(np.ones((8, 4), np.float32), chunks=(4, -1))
    with pytest.raises(
        ValueError, match=r"layers\['a'\] is a Dask array whose chunks have unknown sizes. Run .*compute_chunk_sizes"
    ):
        outside(X[X[:, 0] > 0], "adata.layers['a']")
    with pytest.raises(ValueError, match="must hold numbers, got dtype"):
        outside(da.from_array(np.array([["a", "b"]])), "adata.X")
    with pytest.raises(ValueError, match=r"2 chunks of columns, 1000000 rows each.*adata.X.rechunk\(\(1000, -1\)\)"):
        outside(da.zeros((1_000_000, 400), chunks=(-1, 200)), "adata.X")


def test_a_damaged_file_is_named(matrix, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as root:
        ad.io.write_elem(root, "X", matrix)
        root["X/indices"][50] = 3000
    with h5py.File(tmp_path / "a.h5") as root, pytest.raises(ValueError, match=r"adata.X is a damaged CSR matrix"):
        list(outside(ad.io.sparse_dataset(root["X"]), "adata.X").blocks())


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as root:
        X = root.create_dataset("X", data=np.ones((100, 5), np.float32), maxshape=(None, 5), chunks=(10, 5))
        rows = outside(X, "adata.X")
        X.resize((50, 5))
        with pytest.raises(ValueError, match=r"adata.X has 50 rows where 100 are wanted. Has the file changed\?"):
            list(rows.blocks())
    with pytest.raises(ValueError, match=r"adata.X: rows 0 to 100 cannot be read"):
        list(rows.blocks())


def test_dask_with_empty_and_with_reversed_chunks(matrix):
    dense, columns = matrix.toarray(), np.arange(30)
    reversed_rows = outside(da.from_array(dense, chunks=(17, -1))[::-1], "adata.X")
    np.testing.assert_array_equal(torch.cat(list(reversed_rows.blocks())), dense[::-1])
    kept = (np.arange(103) // 17) != 1
    X = da.from_array(dense, chunks=(17, -1))[da.from_array(kept, chunks=17)]
    X.compute_chunk_sizes()
    assert 0 in X.chunks[0]
    source = outside(X, "adata.X")
    np.testing.assert_array_equal(source.lazily(lambda block: block[:, columns] * 2).compute(), 2 * dense[kept])


@pytest.mark.parametrize(("shards", "n_files"), [(None, 18), ((16,), 5)])
def test_missing_chunks_and_shards(tmp_path, shards, n_files):
    """Several chunks of a shard are one file; the last one is not full."""
    root = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=3)
    array = root.create_array("data", shape=(70,), chunks=(4,), shards=shards, dtype="float32")
    matrix = types.SimpleNamespace(group={"data": array})
    array[:] = 1
    warn_of_missing_chunks(matrix, "adata.X")
    for path in (tmp_path / "x.zarr" / "data" / "c").iterdir():
        path.unlink()
        break
    with pytest.warns(UserWarning, match=f"1 of {n_files} files of 'data' are missing"):
        warn_of_missing_chunks(matrix, "adata.X")


def test_the_largest_value_keeps_nan():
    X = np.ones((70_000, 30), np.float32)
    for row in (0, 69_999):
        bad = X.copy()
        bad[row, 3] = np.nan
        assert np.isnan(summarize(rows_of(bad)).largest)


def test_chunks_without_rows_are_passed_over():
    dense = np.arange(103 * 3, dtype=np.float32).reshape(103, 3)
    kept = (np.arange(103) // 17) != 1
    X = da.from_array(dense, chunks=(17, -1))[da.from_array(kept, chunks=17)]
    X.compute_chunk_sizes()
    source = outside(X, "adata.X")
    np.testing.assert_array_equal(torch.cat(list(source.blocks(5))), dense[kept])
    np.testing.assert_allclose(summarize(source).mean, dense[kept].mean(axis=0), rtol=1e-6)
    assert len(list(source.blocks(5))) == source.n_blocks(5)


def test_a_matrix_stored_by_columns_is_no_source_of_rows(tmp_path):
    X = sp.random(20, 10, density=0.3, format="csc", dtype=np.float32, random_state=0)
    with h5py.File(tmp_path / "a.h5", "w") as root:
        ad.io.write_elem(root, "X", X)
        assert outside(ad.io.sparse_dataset(root["X"]), "adata.X") is None
