from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from scfcmi import cli
from scfcmi.cli._memory import check_memory


@pytest.mark.parametrize(
    ("limit", "fits"),
    [("4GB", True), ("4 gib", True), ("4000MB", True), ("1.2G", False), ("900MiB", False), ("100", False)],
)
def test_limits(limit, fits):
    if fits:
        check_memory(limit, 1_000_000, 2000)
    else:
        with pytest.raises(ValueError, match=r"1,000,000 cells of 2,000 genes take about 1.8 GB. Allow more"):
            check_memory(limit, 1_000_000, 2000)


def test_a_checkpoint_takes_more():
    check_memory("2GB", 1_000_000, 2000)
    with pytest.raises(ValueError, match=r"take about 2.6 GB"):
        check_memory("2GB", 1_000_000, 2000, checkpoint=True)


def test_many_clusters_take_more():
    check_memory("2GB", 1_000_000, 2000, n_clusters=20)
    with pytest.raises(ValueError, match=r"take about 5.2 GB"):
        check_memory("2GB", 1_000_000, 2000, n_clusters=500)


@pytest.mark.parametrize("limit", ["much", "4XB", "-1GB", "", "4GB GB"])
def test_no_number_of_bytes(limit):
    with pytest.raises(ValueError, match="--memory must be a number of bytes such as 4GB or 500MB, got"):
        check_memory(limit, 10, 10)


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/\n", "memory.max"),
        ("0::/slurm/job_1/step_0\n", "slurm/job_1/memory.max"),
        ("5:memory:/docker/1\n4:cpu:/\n", "memory/docker/1/memory.limit_in_bytes"),
    ],
)
def test_what_a_scheduler_allows(groups, file, tmp_path, monkeypatch):
    (tmp_path / "cgroup").write_text(groups)
    limit = tmp_path / "limits" / file
    limit.parent.mkdir(parents=True)
    monkeypatch.setattr("scfcmi.cli._memory._GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("scfcmi.cli._memory._LIMITS", tmp_path / "limits")
    limit.write_text("max\n")
    check_memory(None, 1_000_000, 2000)
    limit.write_text("1500000000\n")
    with pytest.raises(ValueError, match=r"This machine has 1.5 GB: 1,000,000 cells .* take about 1.8 GB"):
        check_memory(None, 1_000_000, 2000)


def test_memory_of_the_machine():
    check_memory(None, 10_000, 2000)
    with pytest.raises(ValueError, match=r"This machine has .* GB: 100,000,000,000 cells"):
        check_memory(None, 10**11, 2000)


def test_the_command_refuses_before_it_reads(small, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.write_h5ad("in.h5ad")
    words = ["cluster", "in.h5ad", "--batch-key", "tech", "-o", "out.h5ad"]
    assert cli.main([*words, "--memory", "100MB"]) == cli.WRONG_USE
    assert "--memory 100MB is too little: 240 cells" in capsys.readouterr().err
    assert cli.main([*words, "--memory", "4GB", "--mode", "paper", "--n-clusters", "3"]) == cli.WRONG_USE
    assert "--memory is for atlas mode" in capsys.readouterr().err
    assert not (tmp_path / "out.h5ad").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which Linux has")
def test_the_promise_is_kept(tmp_path):
    """The most memory that a run of 20,000 cells has at any time is below what it says that it needs."""
    rng, n_cells = np.random.default_rng(0), 20_000
    X = sp.random(n_cells, 500, density=0.1, format="csr", dtype=np.float32, random_state=0)
    adata = ad.AnnData(X)
    adata.obs["batch"] = rng.choice(["a", "b"], n_cells)
    adata.obs_names = adata.obs_names.astype(str)
    adata.write_h5ad(tmp_path / "in.h5ad")
    limit = (1500 * 10**6 + 250 * n_cells + 24 * 500**2) // 1000
    words = ["cluster", "in.h5ad", "--batch-key", "batch", "-o", "out.h5ad", "--memory", f"{limit + 1}KB"]
    code = (
        "import sys; from scfcmi import cli; code = cli.main(sys.argv[1:]);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) * 1024 < limit * 1000


def test_genes_of_a_mask_are_fewer(small, tmp_path, capsys):
    """What the error tells to do helps."""
    wide = ad.AnnData(sp.hstack([small.X, sp.csr_matrix((small.n_obs, 5000))]).tocsr(), obs=small.obs)
    wide.var["some"] = np.arange(wide.n_vars) < small.n_vars
    wide.obsm["X_own"] = small.X.toarray()
    wide.write_h5ad(tmp_path / "in.h5ad")
    words = [tmp_path / "in.h5ad", "--batch-key", "tech", "-o", tmp_path / "out.h5ad", "--memory", "1.6GB"]
    words = ["cluster", *map(str, words), "--max-epochs", "2", "--overwrite"]
    assert cli.main(words) == cli.WRONG_USE
    assert "--mask-var" in capsys.readouterr().err
    assert cli.main([*words, "--mask-var", "some"]) == cli.OK
    assert cli.main([*words, "--use-rep", "X_own"]) == cli.OK
