"""FCMI for atlases: counterparts instead of independence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scfcmi import _validate
from scfcmi._random import Stream, seed_from, stream
from scfcmi.graph.n_clusters import choose_n_clusters, separation_curve
from scfcmi.graph.partition import graph_centers
from scfcmi.models.assignment import fit_temperature, soft_assignment
from scfcmi.models.atlas.counterparts import N_NEIGHBORS
from scfcmi.models.atlas.network import ResidualArchitecture, ResidualAutoEncoder
from scfcmi.models.atlas.projection import fit_projection
from scfcmi.models.atlas.training import AtlasSettings, train_agreement
from scfcmi.models.base import GroupedClusterer, epochs_for
from scfcmi.models.device import choose_device
from scfcmi.models.inference import encode
from scfcmi.models.objective import Weights
from scfcmi.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import scipy.sparse as sp
    from numpy.typing import ArrayLike
    from torch import Tensor

    from scfcmi._random import RandomState
    from scfcmi.models.callbacks import Epoch
    from scfcmi.rows import Rows

# Networks trained side by side: what one draw of weights does is averaged out.
_NETWORKS = 5
_MAX_EPOCHS = 100
# Training had settled if codes moved by at most this (1 - cosine) in its last tenth, after at least so many mini-batches.
_SETTLED, _MIN_STEPS = 0.005, 50


class AtlasFCMI(GroupedClusterer):
    """Clusters of cells that agree with their counterparts in other groups.

    For atlases, where cell types are unevenly spread over groups and I(G;C) of the true types is not zero: beta and
    the balance of Eq. 12 are 0, and the group is removed by what is known to correspond. Features are scaled and
    projected to principal components; an auto-encoder around these, its decoder told the group, keeps what the
    components know (Eq. 11) while codes of mutual nearest neighbours across groups are pulled together,
    ``L = L_rec + agreement L_agr`` (:func:`scfcmi.models.objective.agreement_loss`). Cells without a counterpart are
    left free. Centres come from the normalised cut of the neighbour graph of the codes, which has no liking for even
    sizes (:func:`scfcmi.graph.partition.graph_centers`); a cell belongs to the nearest centre.

    Parameters
    ----------
    n_clusters
        Number of clusters, K. ``None`` estimates it (:func:`scfcmi.graph.n_clusters.choose_n_clusters`).
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
        its cluster as the nearest centre is of the cut of the graph (:func:`scfcmi.models.assignment.fit_temperature`).
    learning_rate
        Of Adam.
    batch_size
        Cells a mini-batch.
    max_epochs
        Number of passes over the cells. ``None`` takes as many as 1,000 mini-batches allow, at most 100: codes hardly
        change after that.
    random_state
        Seed of all that is drawn. An integer gives the same labels again on the same machine.
    device
        ``"auto"`` takes a CUDA device if there is one, else the CPU; or any name torch knows.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.
    callbacks
        Functions that receive a :class:`scfcmi.models.callbacks.Epoch` after every epoch.

    Attributes
    ----------
    temperature_
        Temperature of the soft assignment.
    labels_, embedding_, cluster_centers_, groups_, information_, settings_, n_clusters_, n_components_, n_iter_
        As :class:`scfcmi.FCMI`.
    n_features_in_, feature_names_in_
        As :class:`scfcmi.FCMI`.
    history_
        One row an epoch: ``loss``, ``L_rec`` (sum of squares), ``L_agr``, ``frac_with_counterpart``, and
        ``code_shift``, one minus the mean cosine between codes and those a tenth of the training before.
    n_clusters_curve_
        If ``n_clusters`` was ``None``: separation and modularity by number of clusters, see
        :func:`~scfcmi.graph.n_clusters.separation_curve`.

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
        max_epochs: int | None = 100,
        random_state: RandomState = 0,
        device: str = "auto",
        progress: bool | None = None,
        callbacks: Sequence[Callable[[Epoch], None]] | None = None,
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
        self.callbacks = callbacks

    def fit(self, X: ArrayLike | sp.spmatrix, y: object = None, *, groups: ArrayLike | None = None) -> AtlasFCMI:
        """Train on cells and their groups; arguments and errors as :meth:`scfcmi.FCMI.fit`, without images."""
        self._check_y(y, groups)
        self._check_parameters()
        device = choose_device(self.device)
        X = self._check_X(X, reset=True)
        n_cells = X.shape[0]
        self._check_n_clusters(n_cells)
        codes, names = _validate.sorted_group_codes(np.zeros(n_cells, int) if groups is None else groups, n_cells)
        settings = AtlasSettings(
            weights=Weights(agreement=float(self.agreement)),
            n_neighbors=self.n_neighbors,
            learning_rate=float(self.learning_rate),
            batch_size=self.batch_size,
            max_epochs=epochs_for(n_cells, self.batch_size, self.max_epochs, least=1, most=_MAX_EPOCHS),
            seed=seed_from(self.random_state),
        )

        rows = rows_of(X, device)
        network, components = self._components(rows, len(names), settings.seed)
        network.to(device)
        history = train_agreement(
            network,
            torch.from_numpy(components).to(device),
            torch.from_numpy(codes).to(device),
            settings,
            show_progress=self.progress,
            callbacks=self.callbacks or (),
        )
        self._network, self.groups_ = network.eval(), names
        self.embedding_ = encode(self._network, rows).cpu().numpy()
        self._cut(settings.seed)
        self.labels_ = self.assignment_of(self.embedding_).argmax(axis=1).astype(np.int32)
        projected = network.architecture.projected
        used = {
            "alpha": settings.weights.compactness,
            "beta": settings.weights.fairness,
            "agreement": settings.weights.agreement,
            "projection": "scaled, principal components" if projected else "none",
            "n_clusters_rule": "estimated" if self.n_clusters is None else "given",
            "temperature": self.temperature_,
            "random_state": settings.seed,
        }
        used |= {name: getattr(settings, name) for name in ("n_neighbors", "learning_rate", "batch_size", "max_epochs")}
        n_steps = settings.max_epochs * max(1, round(n_cells / settings.batch_size))
        settled = n_steps >= _MIN_STEPS and history[-1]["code_shift"] <= _SETTLED
        self._finish(history, used, codes, settled=settled)
        return self

    def assignment_of(self, embedding: np.ndarray) -> np.ndarray:
        """Return the soft assignment of codes, as :meth:`transform` returns them: float32, shape (n_cells, n_clusters)."""
        codes, centers = torch.from_numpy(embedding), torch.from_numpy(self.cluster_centers_)
        return soft_assignment(codes, centers, self.temperature_).numpy()

    @staticmethod
    def _make_network(**architecture: Any) -> ResidualAutoEncoder:
        return ResidualAutoEncoder(ResidualArchitecture(**architecture))

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"centers": torch.from_numpy(self.cluster_centers_)}, {}

    def _restore(self, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
        self.cluster_centers_ = tensors["centers"].numpy()
        self.temperature_ = self.settings_["temperature"]

    def _check_parameters(self) -> None:
        """Raise ``TypeError`` or ``ValueError`` for the first parameter that is wrong, whatever the cells are."""
        check = _validate
        for name, minimum in (("n_clusters", 1), ("n_components", 1), ("max_epochs", 1)):
            if getattr(self, name) is not None:
                check.integer(name, getattr(self, name), minimum=minimum)
        for name, minimum in (("max_clusters", 2), ("n_neighbors", 1), ("batch_size", 2)):
            check.integer(name, getattr(self, name), minimum=minimum)
        check.number("agreement", self.agreement)
        check.number("learning_rate", self.learning_rate, strict=True)
        if self.temperature is not None:
            check.number("temperature", self.temperature, strict=True)

    def _check_X(self, X: ArrayLike | sp.spmatrix, *, reset: bool) -> np.ndarray | sp.csr_matrix | sp.csr_array:
        if np.ndim(X) > 2:
            msg = f"AtlasFCMI takes a matrix (n_cells, n_features), got images of shape {np.shape(X)}. Use FCMI."
            raise ValueError(msg)
        return super()._check_X(X, reset=reset)

    def _components(self, rows: Rows, n_groups: int, seed: int) -> tuple[ResidualAutoEncoder, np.ndarray]:
        """Return a network that knows how to project, and what it is trained on."""
        projected = self.n_components is not None
        if projected:
            projection = fit_projection(rows, self.n_components, stream(seed, Stream.COMPONENTS))
            components = projection(rows)
        else:
            components = np.concatenate([block.cpu().numpy() for block in rows.blocks()])
        architecture = ResidualArchitecture(rows.shape[1], components.shape[1], n_groups, projected, _NETWORKS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(stream(seed, Stream.WEIGHTS).integers(2**63)))
            network = ResidualAutoEncoder(architecture)
        if projected:
            for name in ("mean", "scale", "center", "loadings"):
                setattr(network, name, torch.from_numpy(getattr(projection, name)))
        unit = np.sqrt(np.square(components, dtype=np.float64).sum(axis=1).mean())
        network.unit = torch.tensor(max(unit, 1e-12), dtype=torch.float32)
        return network, components / network.unit.numpy()

    def _cut(self, seed: int) -> None:
        """Set the centers of the clusters, and the temperature of the assignment."""
        n_clusters = self.n_clusters
        if n_clusters is None:
            rng = stream(seed, Stream.N_CLUSTERS)
            self.n_clusters_curve_ = separation_curve(self.embedding_, self.max_clusters, rng)
            n_clusters = choose_n_clusters(self.n_clusters_curve_)
        rng = stream(seed, Stream.CLUSTERS)
        self.cluster_centers_, cells, clusters = graph_centers(self.embedding_, n_clusters, rng)
        self.temperature_ = self.temperature
        if self.temperature is None:
            cosines = self.embedding_[cells] @ self.cluster_centers_.T
            self.temperature_ = fit_temperature(cosines, clusters)
