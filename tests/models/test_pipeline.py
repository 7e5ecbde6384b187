"""Groups reach fit inside a scikit-learn pipeline by metadata routing."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scfcmi import FCMI, AtlasFCMI


@pytest.mark.parametrize("model", [AtlasFCMI(3, max_epochs=10), FCMI(3, max_epochs=20, warmup_epochs=5)])
@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_groups_are_routed(blobs, model):
    X, labels, groups = blobs
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), model.set_fit_request(groups=True)).fit(X, groups=groups)
    assert pipeline[-1].groups_.tolist() == ["1", "0"]
    assert adjusted_rand_score(labels, pipeline.predict(X)) > 0.9
    assert np.isfinite(pipeline.transform(X)).all()


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_groups_are_matched_by_name(blobs):
    X, _, groups = blobs
    names = [f"cell{i}" for i in range(len(X))]
    frame, groups = pd.DataFrame(X, index=names).add_prefix("gene"), pd.Series(groups, index=names)
    for model in (AtlasFCMI(3, max_epochs=2), FCMI(3, max_epochs=2)):
        expected = model.fit(frame, groups=groups).embedding_
        shuffled = groups.sample(frac=1, random_state=0)
        np.testing.assert_array_equal(model.fit(frame, groups=shuffled).embedding_, expected)
        np.testing.assert_array_equal(model.reconstruct(frame, shuffled), model.reconstruct(frame, groups))
        with pytest.raises(ValueError, match=r"groups is a Series .* index is not that of X.*groups.to_numpy\(\)"):
            model.fit(frame, groups=groups.reset_index(drop=True))


@pytest.mark.parametrize("model", [AtlasFCMI(2), FCMI(2)])
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_what_is_no_matrix(blobs, model):
    X, _, groups = blobs
    for wrong, words in (
        (ad.AnnData(X), r"X is an AnnData.*Use scfcmi.tl.fair_cluster, or give adata.X"),
        (np.ma.masked_greater(X, 1), r"X is a masked array.*X.filled\(0\)"),
        (np.asmatrix(X), "np.matrix is not supported"),
        (None, r"X must be a matrix of shape \(n_cells, n_features\), got None"),
    ):
        with pytest.raises(TypeError, match=words):
            model.fit(wrong, groups=groups)
