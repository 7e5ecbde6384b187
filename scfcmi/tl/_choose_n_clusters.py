from __future__ import annotations

from typing import TYPE_CHECKING

from scfcmi._logging import logger
from scfcmi._random import RandomState, seed_from
from scfcmi.models.registry import new_model
from scfcmi.tl._batches import batches_of
from scfcmi.tl._matrix import choose_matrix
from scfcmi.tl._results import actual, write_curve

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike


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
    of its links to itself (one minus its conductance; see :func:`scfcmi.graph.n_clusters.separation_curve`). Where types
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
    ``n_clusters``, ``separation``, ``separation_sd`` and ``modularity``, draw with :func:`scfcmi.pl.n_clusters`) and
    ``n_clusters``.

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
    batches = batches_of(adata, batch_key)
    seed = seed_from(random_state)
    matrix = choose_matrix(adata, use_rep=use_rep, layer=layer, mask_var=mask_var)
    if matrix.X.ndim > 2:
        msg = "choose_n_clusters takes expression or a representation, not images."
        raise ValueError(msg)
    projection = {"n_components": None} if matrix.is_representation else {}
    model = new_model(
        "atlas",
        n_clusters=None,
        max_clusters=max_clusters,
        batch_size=batch_size,
        max_epochs=max_epochs,
        random_state=seed,
        device=device,
        progress=progress,
        **projection,
    )
    model.fit(matrix.X, groups=batches)
    write_curve(actual(adata), key_added, model)
    logger.info("choose_n_clusters: %d cells, %s: %d clusters", adata.n_obs, matrix.words, model.n_clusters_)
    return model.n_clusters_
