"""FCMI for atlases: counterparts instead of independence."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from scfcmi import _validate
from scfcmi._random import seed_from, stream
from scfcmi.batches import rows_of
from scfcmi.model.agreement import AgreementPlan, train_agreement
from scfcmi.model.components import fit_projection
from scfcmi.model.counterparts import N_NEIGHBORS
from scfcmi.model.device import choose_device
from scfcmi.model.fcmi import FCMI
from scfcmi.model.n_clusters import choose, separation_curve
from scfcmi.model.partition import fit_temperature, graph_centers
from scfcmi.model.residual import ResidualArchitecture, ResidualAutoEncoder
from scfcmi.model.training import encode

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from scfcmi._random import RandomState

# Networks trained side by side: what one draw of weights does is averaged out.
_NETWORKS = 5
# Purposes of the random streams.
_WEIGHTS, _COMPONENTS, _CENTERS, _COUNT = 0, 13, 14, 15


class AtlasFCMI(FCMI):
    """Clusters of cells that agree with their counterparts in other groups.

    For atlases, where cell types are unevenly spread over groups and I(G;C) of the true types is not zero: beta and
    the balance of Eq. 12 are 0, and the group is removed by what is known to correspond. Features are scaled and
    projected to principal components; an auto-encoder around these, its decoder told the group, keeps what the
    components know (Eq. 11) while codes of mutual nearest neighbours across groups are pulled together,
    ``L = L_rec + agreement L_agr`` (:func:`scfcmi.model.objective.agreement_loss`). Cells without a counterpart are
    left free. Centres come from the normalised cut of the neighbour graph of the codes, which has no liking for even
    sizes (:func:`scfcmi.model.partition.graph_centers`); a cell belongs to the nearest centre.

    Parameters
    ----------
    n_clusters
        Number of clusters, K. ``None`` estimates it (:func:`scfcmi.model.n_clusters.choose`).
    max_clusters
        Largest number looked at if ``n_clusters`` is ``None``.
    agreement
        Weight of L_agr, the concentration kappa. 0 leaves out counterparts.
    n_neighbors
        Neighbours in each other group among which counterparts are sought.
    n_components
        Number of principal components to which scaled features are projected, the dimension of the code; fewer where
        there are fewer features or cells. ``None`` takes features as they are: components of the user's own.
    temperature
        Temperature of the soft assignment, softmax of cosine / temperature. ``None`` sets it so that a cell is as sure of
        its cluster as the nearest centre is of the cut of the graph (:func:`scfcmi.model.partition.fit_temperature`).
    learning_rate
        Of Adam.
    batch_size
        Cells a mini-batch.
    max_epochs
        Number of passes over the cells. Codes do not change much beyond a hundred, or beyond a thousand mini-batches.
    random_state
        Seed of all that is drawn. An integer gives the same labels again on the same machine.
    device
        ``"auto"`` takes a CUDA device if there is one, else the CPU; or any name torch knows.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.

    Attributes
    ----------
    temperature_
        Temperature of the soft assignment.
    labels_, embedding_, cluster_centers_, groups_, n_iter_, n_features_in_, feature_names_in_
        As :class:`scfcmi.FCMI`.
    history_
        One row an epoch: ``loss``, ``L_rec`` (sum of squares), ``L_agr``, ``paired``, the share of cells with a
        counterpart, and ``moved``, one minus the mean cosine between codes and those a tenth of the training
        before.
    n_clusters_curve_
        If ``n_clusters`` was ``None``: separation and modularity by number of clusters, see
        :func:`~scfcmi.model.n_clusters.separation_curve`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = AtlasFCMI(n_clusters=10).fit(X, groups=(X.sum(axis=1) > 310).astype(int))
    >>> model.predict_proba(X[:3]).shape
    (3, 10)
    """

    def __init__(
        self,
        n_clusters: int | None = 8,
        *,
        max_clusters: int = 30,
        agreement: float = 4.0,
        n_neighbors: int = N_NEIGHBORS,
        n_components: int | None = 50,
        temperature: float | None = None,
        learning_rate: float = 1e-3,
        batch_size: int = 512,
        max_epochs: int = 100,
        random_state: RandomState = 0,
        device: str = "auto",
        progress: bool | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.max_clusters = max_clusters
        self.agreement = agreement
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.random_state = random_state
        self.device = device
        self.progress = progress

    def fit(self, X: ArrayLike | sp.spmatrix, y: object = None, *, groups: ArrayLike | None = None) -> AtlasFCMI:
        """Train on cells and their groups; arguments and errors as :meth:`scfcmi.FCMI.fit`, but for images."""
        if y is not None and groups is None:
            msg = "AtlasFCMI ignores y. If these are groups, give them by name: fit(X, groups=...)."
            warnings.warn(msg, UserWarning, stacklevel=2)
        plan = self._plan()
        device = choose_device(self.device)
        X = self._check_X(X, reset=True)
        if X.ndim > 2:
            msg = f"AtlasFCMI takes a matrix (n_cells, n_features), got images of shape {X.shape}. Use FCMI."
            raise ValueError(msg)
        n_cells = X.shape[0]
        if self.n_clusters is not None and self.n_clusters > n_cells:
            msg = f"n_clusters={self.n_clusters} is more than the number of cells, n_samples={n_cells}."
            raise ValueError(msg)
        codes, names = _validate.group_codes(np.zeros(n_cells, int) if groups is None else groups, n_cells)

        network, components = self._components(X, len(names), plan.seed)
        network.to(device)
        history = train_agreement(
            network,
            torch.from_numpy(components).to(device),
            torch.from_numpy(codes).to(device),
            plan,
            show_progress=self.progress,
        )
        self._network, self.groups_ = network.eval(), names
        self.embedding_ = encode(self._network, rows_of(X, device)).cpu().numpy()
        n_clusters = self.n_clusters
        if n_clusters is None:
            self.n_clusters_curve_ = separation_curve(self.embedding_, self.max_clusters, stream(plan.seed, _COUNT))
            n_clusters = choose(self.n_clusters_curve_)
        self.cluster_centers_, cells, cut = graph_centers(self.embedding_, n_clusters, stream(plan.seed, _CENTERS))
        self.temperature_ = self.temperature
        if self.temperature is None:
            self.temperature_ = fit_temperature(self.embedding_[cells] @ self.cluster_centers_.T, cut)
        self.decoder_, self.precision_ = "shared", "float32"
        self.history_ = pd.DataFrame(history, index=pd.RangeIndex(1, len(history) + 1, name="epoch"))
        self.n_iter_ = len(history)
        self.labels_ = self.assignment_of(self.embedding_).argmax(axis=1).astype(np.int32)
        return self

    def _plan(self) -> AgreementPlan:
        check = _validate
        if self.n_clusters is not None:
            check.integer("n_clusters", self.n_clusters, minimum=1)
        check.integer("max_clusters", self.max_clusters, minimum=2)
        if self.n_components is not None:
            check.integer("n_components", self.n_components, minimum=1)
        if self.temperature is not None:
            check.number("temperature", self.temperature, strict=True)
        return AgreementPlan(
            agreement=check.number("agreement", self.agreement),
            n_neighbors=check.integer("n_neighbors", self.n_neighbors, minimum=1),
            learning_rate=check.number("learning_rate", self.learning_rate, strict=True),
            batch_size=check.integer("batch_size", self.batch_size, minimum=2),
            max_epochs=check.integer("max_epochs", self.max_epochs, minimum=1),
            seed=seed_from(self.random_state),
        )

    def _components(
        self, X: np.ndarray | sp.csr_matrix | sp.csr_array, n_groups: int, seed: int
    ) -> tuple[ResidualAutoEncoder, np.ndarray]:
        """Return a new network that knows how to project, and the components of all cells in its units."""
        projected = self.n_components is not None
        if self.n_components is not None:
            projection = fit_projection(X, self.n_components, stream(seed, _COMPONENTS))
            components = projection(X)
        else:
            components = np.asarray(X.toarray() if sp.issparse(X) else X)
        architecture = ResidualArchitecture(X.shape[1], components.shape[1], n_groups, projected, _NETWORKS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(stream(seed, _WEIGHTS).integers(2**63)))
            network = ResidualAutoEncoder(architecture)
        if projected:
            for name in ("mean", "scale", "center", "loadings"):
                setattr(network, name, torch.from_numpy(getattr(projection, name)))
        unit = np.sqrt(np.square(components, dtype=np.float64).sum(axis=1).mean())
        network.unit = torch.tensor(max(unit, 1e-12), dtype=torch.float32)
        return network, components / network.unit.numpy()
