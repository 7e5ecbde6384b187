from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def paper_table() -> pd.DataFrame:
    """Return Table 1 of Zeng et al., CVPR 2023, as printed, in percent: one row a data set and method.

    ``origin`` says where a row comes from: ``"own, one seed"`` (the authors' logs hold one), ``"re-run"`` by the authors,
    or ``"copied"`` from the papers of DFC or DFDC. Which rows were copied is told by equal numbers in DFDC's paper, by
    cells left out, and for the four networks on images by memory of DFC's paper alone. ``misprint`` names a number that
    contradicts the rest of its row, and what the row implies: with two groups MNCE is a function of Bal; with any number, MNCE
    is 0 only where Bal is.

    Not comparable, though not misprinted: ScFC on the digits was run on samples in file order, which pairs each
    image with its own inverse; SpFC's graph was broken, with all samples in one cluster.
    """
    import pandas as pd

    with resources.files("scfcmi.benchmark").joinpath("paper.csv").open() as file:
        return pd.read_csv(
            file, keep_default_na=False, na_values={c: [""] for c in _NUMBERS}, dtype=dict.fromkeys(_NUMBERS, float)
        )


_NUMBERS = ("accuracy", "nmi", "balance", "mnce", "f_beta")
