from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pytest

import scfcmi
from scfcmi import cli, tl

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*changed cluster in the last epoch:UserWarning", "ignore:Writing zarr v2 data:UserWarning"
)


@pytest.fixture
def folder(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.layers["twice"] = small.X * 2
    small.var["mine"] = np.arange(small.n_vars) % 4 > 0
    small.obsm["X_pca"] = small.X.toarray()[:, :6]
    small.write_h5ad("in.h5ad")
    return tmp_path


def cluster(*arguments) -> int:
    words = [
        "cluster",
        "in.h5ad",
        "--batch-key",
        "tech",
        "--max-epochs",
        3,
        "-o",
        "out.h5ad",
        "--overwrite",
        *arguments,
    ]
    return cli.main([str(word) for word in words])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--seed", 5, "--layer", "twice", "--mask-var", "mine", "--resolution", 0.7, "--key-added", "mine"],
        ["--use-rep", "X_pca", "--n-clusters", 3],
        ["--mode", "paper", "--n-clusters", 3, "--alpha", 0.1, "--seed", 2, "--checkpoint", "checkpoint"],
    ],
)
def test_identical(folder, capsys, arguments):
    assert cluster(*arguments) == cli.OK
    key = ["--key-added", "mine"] if "mine" in arguments else []
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert cli.main(["repeat", "out.h5ad", "in.h5ad", *key]) == cli.OK
    assert capsys.readouterr().out.splitlines()[-1] == "identical: 240 of 240 cells have the same cluster"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_cells_are_matched_by_name(folder, capsys):
    assert cluster() == cli.OK
    out = ad.read_h5ad("out.h5ad")
    out[::-1].copy().write_zarr("reversed.zarr")
    assert cli.main(["repeat", "reversed.zarr", "in.h5ad"]) == cli.OK
    # A result is made of itself, too: what is stored beside the expression changes nothing.
    assert cli.main(["repeat", "out.h5ad", "out.h5ad"]) == cli.OK
    out[:100].copy().write_h5ad("part.h5ad")
    assert cli.main(["repeat", "out.h5ad", "part.h5ad"]) == cli.WRONG_USE
    assert "IN.h5ad and OUT.h5ad hold different cells: 100 and 240; 140 are" in capsys.readouterr().err


def test_different(folder, capsys, monkeypatch):
    assert cluster() == cli.OK
    out = ad.read_h5ad("out.h5ad")
    labels = out.obs["fcmi"].to_numpy().copy()
    labels[:10] = np.where(labels[:10] == "0", "1", "0")
    out.obs["fcmi"] = labels
    out.uns["fcmi"]["params"]["version"] = "0.0.1"
    out.write_h5ad("out.h5ad")
    capsys.readouterr()
    assert cli.main(["repeat", "out.h5ad", "in.h5ad"]) == cli.FAILURE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"made by scfcmi 0.0.1, repeated by scfcmi {scfcmi.__version__}"
    assert lines[1].startswith("different: ARI 0.")
    assert lines[1].endswith("; 10 of 240 cells have another cluster")


def test_names_make_no_difference(folder, capsys):
    assert cluster() == cli.OK
    out = ad.read_h5ad("out.h5ad")
    out.obs["fcmi"] = out.obs["fcmi"].astype(str).replace({"0": "T", "1": "B"})
    out.write_h5ad("out.h5ad")
    assert cli.main(["repeat", "out.h5ad", "in.h5ad"]) == cli.OK
    assert "identical but for names: the same 240 cells are together" in capsys.readouterr().out


def test_what_cannot_be_repeated(folder, small, capsys):
    def says(words, *more):
        assert cli.main(["repeat", "out.h5ad", "in.h5ad", *more]) == cli.WRONG_USE
        assert words in capsys.readouterr().err

    assert cluster("--save-model", "model") == cli.OK
    says("Key 'fcmy' not found in uns of OUT.h5ad. Did you mean 'fcmi'?", "--key-added", "fcmy")
    cli.main(["assign", "model", "in.h5ad", "-o", "out.h5ad", "--overwrite"])
    says("'fcmi' was assigned by a saved model")
    tl.fair_cluster(small, "tech", max_epochs=2, mask_var=np.arange(small.n_vars) > 2)
    small.write_h5ad("out.h5ad")
    says("The result does not keep the values of ['mask_var']")
    del small.uns["fcmi"]["params"]["call"]
    small.write_h5ad("out.h5ad")
    says("has no ['call']")


def test_the_call_is_kept_as_given(small):
    tl.fair_cluster(small, "tech", max_epochs=np.int64(2), resolution=0.1 + 0.2, random_state=np.random.default_rng(0))
    call = json.loads(small.uns["fcmi"]["params"]["call"])
    assert call.pop("random_state") >= 0
    assert call == {"max_epochs": 2, "resolution": 0.1 + 0.2, "device": "auto"}
