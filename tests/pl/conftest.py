from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def clustered(small):
    """Cells as fair_cluster leaves them: cluster 2 is mixed up with cluster 1 in one batch; nothing is trained."""
    rng = np.random.default_rng(0)
    label = small.obs["label"].astype(int).to_numpy()
    clusters = np.where((label == 1) & (small.obs["tech"] == "10x"), 2, label)
    embedding = np.eye(3)[clusters] + rng.normal(scale=0.1, size=(240, 3))
    small.obs["fcmi"] = pd.Categorical(clusters.astype(str), categories=["0", "1", "2"])
    small.obsm["X_fcmi"] = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)).astype(np.float32)
    small.obsm["fcmi_proba"] = softmax(10 * small.obsm["X_fcmi"], axis=1)
    epochs = pd.Index([str(i) for i in range(1, 31)], name="epoch")
    columns = ("loss", "L_rec", "L_clu", "L_fair", "H_C", "H_C_given_X", "I_G_C", "I_X_C_given_G", "changed")
    history = pd.DataFrame(rng.random((30, 9)), columns=columns, index=epochs)
    history[["size_0", "size_1", "size_2"]] = 80
    small.uns["fcmi"] = {"params": {"batch_key": "tech", "warmup_epochs": 6, "max_epochs": 40}, "history": history}
    return small
