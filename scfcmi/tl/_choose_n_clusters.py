from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scfcmi import _validate
from scfcmi._logging import logger
from scfcmi._random import RandomState, seed_from
from scfcmi.model.n_clusters import CRITERION
from scfcmi.tl._batches import batch_codes
from scfcmi.tl._matrix import choose_matrix
from scfcmi.tl._modes import atlas_model

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike

    from scfcmi.model import AtlasFCMI


def choose_n_clusters(
    adata: AnnData,
    batch_key: str,
    *,
    max_clusters: int = 30,
    layer: str | None = None,
    use_rep: str | None = None,
    mask_var: str | ArrayLike | None = None,
    key_added: str = "fcmi",
    max_epochs: int | None = None,
    batch_size: int = 512,
    random_state: RandomState = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> int:
    """Estimate how many clusters there are that do not follow the batch.

    Trains atlas mode once, as :func:`fair_cluster` does, and cuts the neighbour graph of the codes of eight draws of
    cells into 2, 3, ... clusters. The number is the largest for which every cluster keeps, in the mean over draws, 90 %
    of its links to itself (one minus its conductance; see :func:`scfcmi.model.n_clusters.separation_curve`). Where types
    run into each other, hardly any number does: if it has less than 90 % of the highest modularity, and this is at least
    0.3, the number of the highest is taken. At most 3,000 cells are drawn: types of which these hold hardly any are not
    counted.

    Parameters
    ----------
    adata
        Annotated data.
    batch_key
        Column of ``adata.obs`` that clusters must not follow.
    max_clusters
        Largest number looked at.
    layer, use_rep, mask_var
        What to take, as :func:`fair_cluster`.
    key_added
        The curve is stored under this name with ``_n_clusters``.
    max_epochs, batch_size, random_state, device, progress
        Training, as :func:`fair_cluster`.

    Returns
    -------
    The number of clusters. Sets ``adata.uns[key_added + "_n_clusters"]``: ``curve`` (data frame with columns
    ``n_clusters``, ``separation``, ``separation_sd`` and ``modularity``, draw with :func:`scfcmi.pl.n_clusters`),
    ``n_clusters`` and ``criterion``.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`fair_cluster`.

    Examples
    --------
    >>> import scanpy as sc, scfcmi
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> n_clusters = scfcmi.tl.choose_n_clusters(adata, "phase", max_epochs=50)
    >>> scfcmi.tl.fair_cluster(adata, "phase", n_clusters=n_clusters, max_epochs=50)
    """
    batches, groups = batch_codes(adata, batch_key)
    _validate.integer("max_clusters", max_clusters, minimum=2)
    seed = seed_from(random_state)
    X, matrix = choose_matrix(adata, use_rep=use_rep, layer=layer, mask_var=mask_var)
    if X.ndim > 2:
        msg = "choose_n_clusters takes expression or a representation, not images."
        raise ValueError(msg)
    model, _ = atlas_model(
        adata.n_obs,
        None,
        project=use_rep in (None, "X"),
        batch_size=_validate.integer("batch_size", batch_size, minimum=2),
        max_epochs=max_epochs,
        max_clusters=max_clusters,
        random_state=seed,
        device=device,
        progress=progress,
    )
    model.fit(X, groups=groups[batches])
    if adata.is_view:
        adata._init_as_actual(adata.copy())
    adata.uns[f"{key_added}_n_clusters"] = stored_curve(model)
    number = len(model.cluster_centers_)
    logger.info("choose_n_clusters: %d cells, %s: %d clusters (%s)", adata.n_obs, matrix, number, CRITERION)
    return number


def stored_curve(model: AtlasFCMI) -> dict[str, Any]:
    """Return what ``adata.uns`` keeps of how a model chose the number of clusters."""
    curve = model.n_clusters_curve_
    # Indexed by name: h5ad and zarr keep no name of a range.
    return {
        "curve": curve.set_axis(curve.index.astype(str)),
        "n_clusters": len(model.cluster_centers_),
        "criterion": CRITERION,
    }
