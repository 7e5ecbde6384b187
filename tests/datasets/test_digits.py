from __future__ import annotations

import bz2
import gzip

import anndata as ad
import numpy as np
import pytest

from scfcmi import datasets
from scfcmi.datasets._build import differences
from scfcmi.datasets._digits import enlarge, read_idx, read_usps
from scfcmi.datasets._manifest import read_manifest
from scfcmi.errors import DatasetUnavailableError


def idx(array: np.ndarray) -> bytes:
    shape = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.tobytes()


def test_idx(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(3, 4, 5), dtype=np.uint8)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(idx(images)))
    assert np.array_equal(read_idx(path), images)
    for content in (idx(images)[:-1], idx(images) + b"x", b"", b"\0\0\x0d\x01", idx(images)[:6]):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match="is no whole IDX file"):
            read_idx(path)


def test_both_formats_of_usps_are_the_same_images(tmp_path):
    rng = np.random.default_rng(0)
    values = np.round(rng.uniform(-1, 1, (4, 256)), 3)
    # LIBSVM leaves zeros out.
    values[0, :10] = [-1, 1, 0, 0.999, -0.999, 0.5, 0, 0, 0, -1]
    digits = np.array([6, 0, 9, 3])
    text = "".join(f"{d}.0000 {' '.join(f'{v:.4f}' for v in row)} \n" for d, row in zip(digits, values, strict=True))
    (tmp_path / "zip.train.gz").write_bytes(gzip.compress(text.encode()))
    libsvm = "".join(
        f"{d + 1} {' '.join(f'{i}:{v:g}' for i, v in enumerate(row, 1) if v)} \n"
        for d, row in zip(digits, values, strict=True)
    )
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(libsvm.encode()))
    images, labels = read_usps(tmp_path / "zip.train.gz")
    assert images.shape == (4, 16, 16)
    assert images.dtype == np.uint8
    assert images[0].ravel()[:5].tolist() == [0, 255, 127, 254, 0]
    assert labels.tolist() == digits.tolist()
    again, labels = read_usps(tmp_path / "usps.bz2")
    assert np.array_equal(again, images)
    assert labels.tolist() == digits.tolist()


def test_enlarged():
    flat = np.full((2, 16, 16), 200, dtype=np.uint8)
    assert enlarge(flat).shape == (2, 28, 28)
    assert (enlarge(flat) == 200).all()
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (1, 16, 1))
    assert np.all(np.diff(enlarge(ramp)[0, 5].astype(int)) >= 0)
    assert enlarge(flat[:0]).shape == (0, 28, 28)


def test_nothing_here(tmp_path):
    with pytest.raises(
        DatasetUnavailableError, match=r"mnist_usps: mnist/train-images.* is not in .*Call with download"
    ):
        datasets.mnist_usps(data_dir=tmp_path, download=False)


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["mnist_usps", "reverse_mnist"])
def test_whole(name):
    adata = getattr(datasets, name)(download=False, progress=False)
    assert differences(adata.obs, read_manifest(name), adata.n_vars) == []
    assert adata.X.dtype == np.float32
    assert (adata.X.min(), adata.X.max()) == (-1, 1)
    assert adata.uns["image_shape"].tolist() == [28, 28]
    assert adata.obs_names.is_unique
    assert adata.obs["domain"].equals(adata.obs["group"].rename("domain"))
    if name == "reverse_mnist":
        assert np.array_equal(adata.X[:60000], -adata.X[60000:])
        assert adata.obs_names[[0, 60000]].tolist() == ["original-0", "reversed-0"]
        assert adata.obs["label"].tolist()[:5] == ["5", "0", "4", "1", "9"]
    else:
        # Digits of both origins are white on black.
        assert adata.X[:60000].mean() < -0.5
        assert -0.8 < adata.X[60000:].mean() < -0.3


@pytest.mark.needs_data
def test_subset_is_stratified_and_always_the_same(tmp_path):
    adata = datasets.mnist_usps(subset=1000, download=False)
    assert adata.shape == (1000, 784)
    whole = datasets.mnist_usps(download=False)
    again = whole[adata.obs_names]
    assert np.array_equal(again.X, adata.X)
    assert again.obs["label"].tolist() == adata.obs["label"].tolist()
    shares = whole.obs.value_counts(["label", "group"]) * (1000 / whole.n_obs)
    assert (adata.obs.value_counts(["label", "group"]) - shares).abs().max() < 1
    assert datasets.mnist_usps(subset=1, download=False).n_obs == 1
    for wrong, error in ((0, ValueError), (67292, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="subset"):
            datasets.mnist_usps(subset=wrong, download=False)

    reverse = datasets.reverse_mnist(subset=2000, download=False)
    assert reverse.obs["group"].value_counts().to_dict() == {"original": 1000, "reversed": 1000}
    assert reverse[reverse.obs["group"] == "reversed"].X.mean() > 0.5
    reverse.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    assert back.uns["dataset"] == reverse.uns["dataset"]
    assert back.uns["dataset"]["manifest_version"] == "1"
    assert {"name", "citation", "terms"} <= set(back.uns["dataset"])
    assert tuple(back.uns["image_shape"]) == (28, 28)
