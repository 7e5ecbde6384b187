from __future__ import annotations

import anndata as ad
import pytest
import scipy.sparse as sp

import scfcmi
from scfcmi import cli, load_model

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@pytest.fixture
def path(small, tmp_path):
    path = tmp_path / "in.h5ad"
    small.write_h5ad(path)
    return path


def cluster(path, *arguments) -> int:
    words = ["cluster", path, "--batch-key", "tech", "--n-clusters", 3, "--max-epochs", 15, *arguments]
    return cli.main([str(word) for word in words])


def test_cluster(path, tmp_path, capsys):
    out = tmp_path / "out.h5ad"
    before = path.read_bytes()
    assert cluster(path, "-o", out, "--save-model", tmp_path / "model", "-v") == cli.OK
    assert "fair_cluster: 240 cells" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert ad.read_h5ad(out).obs["fcmi"].nunique() == 3
    assert load_model(tmp_path / "model").n_iter_ <= 15
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.h5ad", "model", "out.h5ad"]


def test_input_is_replaced_only_when_asked(path, tmp_path, capsys):
    before = path.read_bytes()
    assert cluster(path, "-o", path) == cli.WRONG_USE
    assert "add --overwrite" in capsys.readouterr().err
    (tmp_path / "link.h5ad").symlink_to(path)
    assert cluster(path, "-o", tmp_path / "link.h5ad") == cli.WRONG_USE
    assert path.read_bytes() == before
    assert cluster(path, "-o", path, "--overwrite") == cli.OK
    assert "fcmi" in ad.read_h5ad(path).obs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch-key", "label"], "error: --batch-key takes one column, and is given twice. To use two columns, join"),
        (["--n-clusters", "-2"], "error: n_clusters must be at least 2, got -2."),
        (["--n-clusters", "many"], "argument --n-clusters: invalid int value: 'many'"),
        (["-o", "/nowhere/out.h5ad"], "error: --output is in a folder that does not exist"),
        (["-o", "out.csv"], "error: --output must end in one of ['.h5ad', '.zarr'], got 'out.csv'"),
        (["--device", "gpu0"], "error: device 'gpu0' cannot be used"),
        (["--color", "red"], "unrecognized arguments: --color red"),
    ],
)
def test_wrong_use_is_one_line_and_code_two(path, tmp_path, capsys, arguments, words):
    try:
        code = cluster(path, "-o", tmp_path / "out.h5ad", *arguments)
    except SystemExit as exit_:
        code = exit_.code
    error = capsys.readouterr().err
    assert code == cli.WRONG_USE
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.h5ad").exists()


def test_unknown_batch_key(path, tmp_path, capsys):
    words = ["cluster", str(path), "--batch-key", "thech", "-o", str(tmp_path / "out.h5ad")]
    assert cli.main(words) == cli.WRONG_USE
    assert "error: Key 'thech' not found in adata.obs. Did you mean 'tech'? Available:" in capsys.readouterr().err


def test_missing_and_damaged_input(path, tmp_path, capsys):
    assert cluster(tmp_path / "none.h5ad", "-o", tmp_path / "out.h5ad") == cli.WRONG_USE
    path.write_bytes(path.read_bytes()[:2000])
    assert cluster(path, "-o", tmp_path / "out.h5ad") == cli.WRONG_USE
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "no file at" in lines[0]
    assert f"IN.h5ad {str(path)!r} is damaged or no AnnData" in lines[1]


def test_failure_while_writing_leaves_no_file(path, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scfcmi.cli._written._put", fail)
    assert cluster(path, "-o", tmp_path / "out.h5ad") == cli.FAILURE
    assert "No space left on device" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.h5ad"]


def test_interrupt(path, tmp_path, capsys, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("scfcmi.models.atlas.training.find_counterparts", interrupt)
    assert cluster(path, "-o", tmp_path / "out.h5ad") == cli.INTERRUPTED
    assert capsys.readouterr().err == "scfcmi: interrupted; no file is half written\n"
    assert not (tmp_path / "out.h5ad").exists()


def test_only_what_is_given_is_passed_on(path, tmp_path, monkeypatch):
    """What fair_cluster takes by default is said in one place; a mode refuses what it has no use for."""
    given = []
    monkeypatch.setattr(scfcmi.tl, "fit_model", lambda _adata, *args, **kwargs: given.append((args, kwargs)))
    monkeypatch.setattr("scfcmi.cli._cluster.summary", lambda *_: "")
    words = ["cluster", str(path), "--batch-key", "tech", "-o", str(tmp_path / "out.h5ad")]
    assert cli.main(words) == cli.OK
    (tmp_path / "out.h5ad").unlink()
    assert cli.main([*words, "--mode", "paper", "--alpha", "0", "--seed", "3"]) == cli.OK
    assert given == [
        (("tech",), {}),
        (("tech",), {"mode": "paper", "alpha": 0.0, "random_state": 3}),
    ]


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_sparse_entries_of_obsm_and_obsp(small, tmp_path, form, ending):
    """They stay in the file, which is closed when the result is written."""
    small.obsm["sparse"] = sp.random(small.n_obs, 4, 0.5, format=form, random_state=0)
    small.obsp["sparse"] = sp.random(small.n_obs, small.n_obs, 0.1, format=form, random_state=0)
    small.write_h5ad(tmp_path / "in.h5ad")
    out, again = tmp_path / f"out.{ending}", tmp_path / f"again.{ending}"
    assert cluster(tmp_path / "in.h5ad", "-o", out, "--save-model", tmp_path / "model") == cli.OK
    words = ["assign", tmp_path / "model", tmp_path / "in.h5ad", "-o", again, "--key-added", "new"]
    assert cli.main([str(word) for word in words]) == cli.OK
    for path, key in ((out, "fcmi"), (again, "new")):
        written = getattr(ad, f"read_{ending}")(path)
        assert written.obs[key].nunique() == 3
        for part in ("obsm", "obsp"):
            assert (getattr(written, part)["sparse"] != getattr(small, part)["sparse"]).nnz == 0


def test_results_alone_do_not_replace_the_cells(path, capsys):
    before = path.read_bytes()
    assert cluster(path, "-o", path, "--overwrite", "--results-only") == cli.WRONG_USE
    assert "Give each a path of its own" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_graph_of_another_tool_is_kept(small, tmp_path, capsys):
    small.obsp["fcmi_connectivities"] = sp.identity(small.n_obs, format="csr")
    small.write_h5ad(tmp_path / "in.h5ad")
    assert cluster(tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad") == cli.WRONG_USE
    assert "would overwrite adata.obsp['fcmi_connectivities']" in capsys.readouterr().err
