"""What all loaders end with: the stratified part of the samples, and an AnnData that says what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd

from scfcmi import _validate
from scfcmi._logging import warn
from scfcmi._random import stream

if TYPE_CHECKING:
    from pathlib import Path

    from scfcmi.datasets._manifest import Manifest


def draw(labels: np.ndarray, groups: np.ndarray, subset: int | None) -> np.ndarray:
    """Return the rows of ``subset`` samples in ascending order, spread over label x group as all samples are.

    The same samples on every call; all of them if ``subset`` is ``None``.

    Raises
    ------
    ValueError
        If more samples are asked for than there are.
    """
    n = len(labels)
    if subset is None:
        return np.arange(n)
    if _validate.integer("subset", subset, minimum=1) > n:
        msg = f"subset={subset} is more than the number of samples, {n}."
        raise ValueError(msg)
    # A stratum gets its share rounded down; the largest remainders get the rest.
    strata = pd.DataFrame({"label": labels, "group": groups}).groupby(["label", "group"], observed=True).indices
    rows = list(strata.values())
    shares = np.array([len(r) for r in rows]) * (subset / n)
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: subset - counts.sum()]] += 1
    rng = stream(0)
    return np.sort(np.concatenate([rng.choice(r, c, replace=False) for r, c in zip(rows, counts, strict=True)]))


def build(
    X: np.ndarray,
    obs: pd.DataFrame,
    manifest: Manifest,
    *,
    variant: str | None = None,
    image_shape: tuple[int, int] | None = None,
) -> ad.AnnData:
    """Put samples and their annotation together. ``X`` has a row a sample; ``obs`` its ``label`` and ``group``."""
    prefix = "pixel" if image_shape else "feature"
    var = pd.DataFrame(index=[f"{prefix}{i}" for i in range(X.shape[1])])
    adata = ad.AnnData(X, obs=obs, var=var)
    adata.uns["dataset"] = describe(manifest, variant)
    if image_shape is not None:
        adata.uns["image_shape"] = np.array(image_shape)
    return adata


def describe(manifest: Manifest, variant: str | None = None) -> dict[str, str]:
    """Return the entry ``.uns["dataset"]``: strings only, so that every file format keeps it."""
    return {
        "name": manifest.name,
        "title": manifest.title,
        "variant": variant or "as published",
        "citation": "\n".join(manifest.citation),
        "license": manifest.license,
        "terms": manifest.terms,
        "manifest_version": str(manifest.version),
    }


def categorical(values: np.ndarray | pd.Series, categories: list[str]) -> pd.Categorical:
    """Return names as a categorical; ``ValueError`` for a name that is not among the categories."""
    unknown = sorted(set(map(str, values)) - set(categories))
    if unknown:
        msg = f"{unknown[:5]} not among {categories}: the files are not those of the manifest."
        raise ValueError(msg)
    return pd.Categorical(np.asarray(values).astype(str), categories=categories)


def warn_of_differences(path: Path, obs: pd.DataFrame, manifest: Manifest, n_features: int | None = None) -> None:
    """Warn if a file holds other samples than the manifest says."""
    if words := differences(obs, manifest, n_features):
        more = "; and more" if len(words) > 3 else ""
        warn(f"{path} has {'; '.join(words[:3])}{more}. Results will not compare with published ones.")


def differences(obs: pd.DataFrame, manifest: Manifest, n_features: int | None = None) -> list[str]:
    """Return what differs from the manifest's shape, in words."""
    expected = manifest.expected
    found = [("samples", len(obs), expected.samples)]
    if None not in (n_features, expected.features):
        found.append(("features", n_features, expected.features))
    for key, counts in (("group", expected.groups), ("label", expected.labels)):
        present = obs[key].value_counts().to_dict()
        names = sorted(counts.keys() | present.keys()) if counts else []
        found += [(f"of {key} {name!r}", present.get(name, 0), counts.get(name, 0)) for name in names]
    if expected.table:
        table = pd.crosstab(obs["label"], obs["group"], dropna=False)
        table = table.reindex(index=list(expected.table), columns=list(expected.groups), fill_value=0)
        wanted = np.array(list(expected.table.values()))
        found += [
            ("cells of the table of label x group that fit", int((table == wanted).to_numpy().sum()), wanted.size)
        ]
    return [f"{n} {what} instead of {wanted}" for what, n, wanted in found if n != wanted]
