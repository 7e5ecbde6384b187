from __future__ import annotations

import numpy as np

from scfcmi.baselines._inputs import Inputs, import_extra, principal_components


def harmonized(inputs: Inputs, n_components: int, method: str) -> np.ndarray:
    """Return principal components corrected for the group by Harmony (Korsunsky et al., 2019), (n_cells, n_components).

    With a single group there is nothing to correct.
    """
    harmonypy = import_extra("harmonypy", method)
    components = principal_components(inputs.X, n_components, inputs.seed)
    if inputs.n_groups == 1:
        return components
    n_cells = len(components)
    if n_cells <= 2:
        msg = "Harmony needs three cells or more: with two, harmonypy does not come to an end."
        raise ValueError(msg)
    corrected = harmonypy.run_harmony(
        # Cells in columns: this way round is the one that it tries first, so a square matrix is not mistaken.
        components.T,
        {"group": inputs.codes},
        "group",
        # Its own default, which is none at all below fifteen cells.
        nclust=int(np.clip(round(n_cells / 30), 2, 100)),
        random_state=inputs.seed,
        verbose=False,
    ).Z_corr
    # Releases differ in which way round they answer.
    if corrected.shape != components.shape:
        msg = f"harmonypy answered with shape {corrected.shape} for {components.shape}; scfcmi serves harmonypy 2."
        raise RuntimeError(msg)
    return corrected
