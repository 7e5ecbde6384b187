from __future__ import annotations

import anndata as ad
import matplotlib.image as mpimg
import numpy as np
import pytest

from scfcmi import cli

pytestmark = pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_demo(tmp_path, capsys):
    assert cli.main(["demo", "-o", str(tmp_path)]) == cli.OK
    out = capsys.readouterr().out
    table = {line.split()[0]: line.split()[1] for line in out.splitlines() if "  0." in line}
    assert float(table["nmi"]) > 0.4
    # It ends in words: what was clustered, what the numbers mean, what to open, what to run.
    assert out.startswith("700 blood cells")
    assert ("That is no fault here" in out) == (float(table["balance"]) == 0)
    assert all(str(tmp_path / f"demo.{ending}") in out for ending in ("html", "png", "h5ad"))
    assert "  scfcmi cluster yours.h5ad --batch-key BATCH -o clustered.h5ad\n  scfcmi report clustered.h5ad" in out
    assert max(map(len, out.splitlines())) <= 120 + len(str(tmp_path))
    page = (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert "scfcmi repeat demo.h5ad" in page
    # Of expression that is scaled, marker genes come from raw.
    assert "CD79A" in page
    adata = ad.read_h5ad(tmp_path / "demo.h5ad")
    assert {"fcmi", "phase"} <= set(adata.obs)
    picture = mpimg.imread(tmp_path / "demo.png")
    assert min(picture.shape[:2]) > 300
    colors = (picture[..., :3] * 255).astype(int) @ [65536, 256, 1]
    assert np.unique(colors).size > 50
