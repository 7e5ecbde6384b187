"""Groups reach fit inside a scikit-learn pipeline by metadata routing."""

from __future__ import annotations

import numpy as np
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
    assert pipeline[-1].groups_.tolist() == [0, 1]
    assert adjusted_rand_score(labels, pipeline.predict(X)) > 0.9
    assert np.isfinite(pipeline.transform(X)).all()
