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
    table = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if "  0." in line}
    assert float(table["nmi"]) > 0.4
    adata = ad.read_h5ad(tmp_path / "demo.h5ad")
    assert {"fcmi", "phase"} <= set(adata.obs)
    picture = mpimg.imread(tmp_path / "demo.png")
    assert min(picture.shape[:2]) > 300
    colors = (picture[..., :3] * 255).astype(int) @ [65536, 256, 1]
    assert np.unique(colors).size > 50
