from __future__ import annotations

import numpy as np

from scfcmi.models.assignment import fit_temperature


def test_temperature_is_calibrated():
    """Labels drawn from a softmax give its temperature back; sure ones the lowest."""
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, (4000, 5))
    noise = rng.gumbel(size=cosines.shape)
    for temperature in (0.05, 0.2):
        labels = (cosines / temperature + noise).argmax(axis=1)
        np.testing.assert_allclose(fit_temperature(cosines, labels), temperature, rtol=0.1)
    assert fit_temperature(cosines, cosines.argmax(axis=1)) < 0.0101
