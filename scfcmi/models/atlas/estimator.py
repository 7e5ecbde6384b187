"""FCMI for atlases: counterparts instead of independence."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from scfcmi import _validate
from scfcmi._initialization import initialized, with_gradients
from scfcmi._logging import warn
from scfcmi._random import Stream, seed_from, stream, torch_stream
from scfcmi._scratch import in_order
from scfcmi.graph.communities import RESOLUTION, by_size, leiden, leiden_at
from scfcmi.models.assignment import classify, fit_classifier, with_all
from scfcmi.models.atlas import checkpoint
from scfcmi.models.atlas.cell_graph import cell_graph
from scfcmi.models.atlas.counterparts import N_NEIGHBORS
from scfcmi.models.atlas.network import AtlasArchitecture, AtlasNetwork, components_of, embed_in_place
from scfcmi.models.atlas.projection import fit_projections
from scfcmi.models.atlas.training import MAX_STEPS, AtlasSettings, decoder_training, train_agreement
from scfcmi.models.base import GroupedClusterer
from scfcmi.models.checks import check_largest, epochs_for, warn_of_empty
from scfcmi.models.device import choose_device
from scfcmi.models.inference import BLOCK
from scfcmi.models.progress import Stages
from scfcmi.rows import ChunkedRows, rows_of, summarize

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import scipy.sparse as sp
    from numpy.typing import ArrayLike
    from torch import Tensor

    from scfcmi._random import RandomState
    from scfcmi.models.callbacks import Epoch
    from scfcmi.rows import Rows

_MAX_EPOCHS = 60
# Training had settled if codes moved by at most this (1 - cosine) in its last fifth, after at least so many mini-batches.
_SETTLED, _MIN_STEPS = 0.005, 50


class AtlasFCMI(GroupedClusterer):
    """Cluster cells of several groups (batches), which may hold different cell types: atlas mode.

    It corrects the group by counterparts: cells that are mutual nearest neighbors in different groups.

    1. Principal components of scaled and weighted features, and of unscaled ones, give two views of the cells. Weights come
       from a first, rough clustering (:mod:`scfcmi.models.atlas.weights`).
    2. In each view, an auto-encoder keeps what the components know (Eq. 11). Its decoder is told the group. Codes of
       counterparts are pulled together, and neighbors of one group move alike:
       ``L = L_rec + agreement (L_agr + L_smooth / 8)`` (:func:`scfcmi.models.objective.agreement_loss`,
       :func:`scfcmi.models.objective.smoothness_loss`).
    3. The neighbor graphs of both views are added up; without ``n_clusters``, also one of both together, in units of what
       varies within clusters (:mod:`scfcmi.models.atlas.cell_graph`). Leiden finds the communities of the sum
       (:mod:`scfcmi.graph.communities`).
    4. A classifier learns the communities. It gives every cell its cluster, new cells included.

    The weights alpha and beta of Eq. 12 are 0: clusters need not be independent of the group, because cell types are not.

    Parameters
    ----------
    n_clusters
        Number of clusters, K. ``None`` lets ``resolution`` decide.
    resolution
        Resolution of Leiden, as in scanpy. Larger values give more clusters. ``None`` is 0.3. Give either this or
        ``n_clusters``.
    agreement
        How strongly counterparts are pulled together: the weight of L_agr, the concentration kappa; an eighth of it is the
        weight of L_smooth. 0 corrects nothing.
    n_neighbors
        Counterparts of a cell are searched among so many neighbors in each other group.
    n_components
        Number of principal components of each view. There are fewer if there are fewer features or cells. ``None`` takes
        features as they are, as one view: for components of your own, at least two.
    learning_rate
        Learning rate of Adam.
    batch_size
        Number of cells in a mini-batch.
    max_epochs
        Number of passes over the cells. A pass takes at most 300 mini-batches. ``None`` takes as many passes as 300
        mini-batches allow, at most 60: codes hardly change after that.
    random_state
        Seed of all random numbers. An integer gives the same labels again on the same machine.
    device
        ``"auto"`` takes a CUDA device if there is one, and the CPU otherwise. Or the name of one, such as ``"cuda:1"``.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.
    checkpoint
        File that keeps the principal components, 400 bytes a cell. If it exists, ``fit`` takes them from there and does not
        read expression again. A file of other settings or data is an error; of the data, the shape and the values of 16
        cells are compared. The file stays when ``fit`` is done.
    callbacks
        Functions that receive a :class:`scfcmi.models.callbacks.Epoch` after every epoch.

    Attributes
    ----------
    labels_
        Cluster of each cell of ``fit``, int32, shape (n_cells,). 0 is the largest cluster. :meth:`predict` gives the same.
    embedding_
        Codes of these cells in both views, float32, rows of unit length, shape (n_cells, 2 * n_components).
    graph_
        Their neighbor graph, sparse, symmetric, float32, shape (n_cells, n_cells). With more than 50,000 cells, it is the
        graph of a sample that keeps rare cells. Not saved with the model.
    history_
        Table with a row for each epoch: ``loss``, ``L_rec`` (sum of squares), ``L_agr``, ``L_smooth``,
        ``frac_with_counterpart``, and ``code_shift``: how far codes moved between two searches for counterparts, as one minus
        the mean cosine. There are five searches, and the epochs between them repeat the value. The last row compares the final
        codes with those of the last search.
    groups_, information_, settings_, n_clusters_, n_components_, n_iter_
        As in :class:`scfcmi.FCMI`.
    n_features_in_, feature_names_in_
        As in :class:`scfcmi.FCMI`.

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
        n_clusters: int | None = None,
        *,
        resolution: float | None = None,
        agreement: float = 4.0,
        n_neighbors: int = N_NEIGHBORS,
        n_components: int | None = 50,
        learning_rate: float = 3e-3,
        batch_size: int = 512,
        max_epochs: int | None = None,
        random_state: RandomState = 0,
        device: str = "auto",
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callable[[Epoch], None]] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.resolution = resolution
        self.agreement = agreement
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.random_state = random_state
        self.device = device
        self.progress = progress
        self.checkpoint = checkpoint
        self.callbacks = callbacks

    @with_gradients
    def fit(self, X: ArrayLike | sp.spmatrix, y: object = None, *, groups: ArrayLike | None = None) -> AtlasFCMI:
        """Train on cells and their groups. Arguments and errors are those of :meth:`scfcmi.FCMI.fit`, without images."""
        self._check_y(y, groups)
        self._check_parameters()
        device = choose_device(self.device)
        X, codes, names = self._check_cells(X, groups)
        n_cells = X.shape[0]
        if X.shape[1] < 2:
            msg = "X has n_features=1. One dimension has no direction to compare cells by: give two or more."
            raise ValueError(msg)
        settings = AtlasSettings(
            agreement=float(self.agreement),
            n_neighbors=self.n_neighbors,
            learning_rate=float(self.learning_rate),
            batch_size=self.batch_size,
            max_epochs=epochs_for(
                n_cells, self.batch_size, self.max_epochs, least=1, most=_MAX_EPOCHS, max_steps=MAX_STEPS
            ),
            random_state=seed_from(self.random_state),
        )

        rows, stages = rows_of(X, device), Stages(self.progress)
        network, components = self._kept_components(rows, codes, settings.random_state, stages)
        # Workers of Dask compute on processors.
        network, components = network.to(device), components.to(device)
        groups = torch.from_numpy(codes).to(device)
        history = train_agreement(network, components, groups, settings, stages=stages, callbacks=self.callbacks or ())
        self._network, self.groups_ = network.eval(), names
        self._decoder_training = decoder_training(components, groups, settings)
        if self.callbacks:
            # Callbacks may ask for codes after training.
            components = components.clone()
        self.embedding_ = embed_in_place(network, components).cpu().numpy()
        del components
        with stages.stage("communities"):
            resolution = float(RESOLUTION if self.resolution is None else self.resolution)
            self._find_communities(settings.random_state, resolution)
        views = "weighted, unscaled" if network.architecture.projected else "as given"
        used = {"alpha": 0.0, "beta": 0.0} | asdict(settings) | {"views": views}
        if self.n_clusters is None:
            used["resolution"] = resolution
        n_steps = settings.max_epochs * settings.n_batches(n_cells)
        settled = n_steps >= _MIN_STEPS and history[-1]["code_shift"] <= _SETTLED
        self._finish(history, used, codes, settled=settled)
        return self

    @property
    def feature_means_(self) -> np.ndarray | None:
        """Mean of each feature over the cells of ``fit``; ``None`` if features were taken as they are."""
        check_is_fitted(self, "n_clusters_")
        return self._network.mean.cpu().numpy() if self._network.architecture.projected else None

    def assignment_of(self, embedding: np.ndarray) -> np.ndarray:
        """Return the probability of each cluster for codes of :meth:`transform`: float32, shape (n_cells, n_clusters)."""
        return classify(embedding, self._weights, self._offsets)

    @staticmethod
    def _make_network(**architecture: Any) -> AtlasNetwork:
        return AtlasNetwork(AtlasArchitecture(**architecture))

    @with_gradients
    def prepare_decoding(self) -> None:
        """Train the decoders on the final codes, once."""
        # Another thread may do the same at the same time: both come to the same weights.
        training = self._decoder_training
        if training is not None:
            self._network, self._decoder_training = training(self._network), None

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"weights": torch.from_numpy(self._weights), "offsets": torch.from_numpy(self._offsets)}, {}

    def _restore(self, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
        self._weights, self._offsets = tensors["weights"].numpy(), tensors["offsets"].numpy()
        self._decoder_training = None

    def _check_parameters(self) -> None:
        """Raise ``TypeError`` or ``ValueError`` for the first parameter that is wrong, whatever the cells are."""
        for name in ("n_clusters", "n_components", "max_epochs"):
            if getattr(self, name) is not None:
                _validate.integer(name, getattr(self, name), minimum=1)
        for name, minimum in (("n_neighbors", 1), ("batch_size", 2)):
            _validate.integer(name, getattr(self, name), minimum=minimum)
        _validate.number("agreement", self.agreement)
        _validate.number("learning_rate", self.learning_rate, strict=True)
        if self.resolution is not None:
            _validate.number("resolution", self.resolution, strict=True)
            if self.n_clusters is not None:
                msg = f"Give n_clusters or resolution, not both: got n_clusters={self.n_clusters}, resolution={self.resolution}."
                raise ValueError(msg)

    def _check_X(
        self, X: ArrayLike | sp.spmatrix | ChunkedRows, *, reset: bool
    ) -> np.ndarray | sp.csr_matrix | sp.csr_array | ChunkedRows:
        if isinstance(X, ChunkedRows) and self.n_components is not None:
            # Projected where it lies. Its values are checked in the first pass over them.
            return self._check_shape(X, reset=reset)
        if len(getattr(X, "shape", ())) > 2:
            msg = f"AtlasFCMI takes a matrix (n_cells, n_features), got images of shape {X.shape}. Use FCMI."
            raise ValueError(msg)
        return super()._check_X(X, reset=reset)

    def _kept_components(self, rows: Rows, codes: np.ndarray, seed: int, stages: Stages) -> tuple[AtlasNetwork, Tensor]:
        """Return what :meth:`_components` does, or did in a run that was killed."""
        compute = lambda: self._components(rows, codes, seed, stages)
        if self.checkpoint is None:
            return compute()
        run = checkpoint.identity(rows, codes, self.n_components, seed)
        return checkpoint.kept(self.checkpoint, run, compute)

    def _components(self, rows: Rows, codes: np.ndarray, seed: int, stages: Stages) -> tuple[AtlasNetwork, Tensor]:
        """Return a network that knows how to project, and what it is trained on, shape (n_views, n_cells, n_components)."""
        n_components, projections = rows.shape[1], {}
        if self.n_components is not None:
            summary = summarize(rows, stages.tracked("moments", rows.n_blocks()))
            if isinstance(rows, ChunkedRows):
                # Of cells in memory, this is told before they come here.
                check_largest(summary.largest, rows.name)
                warn_of_empty(summary.n_empty, len(rows), rows.name)
            tracked = stages.tracked("principal components")
            projections = fit_projections(rows, summary, self.n_components, codes, seed, tracked)
            n_components = projections["loadings"].shape[2]
        n_views = 2 if projections else 1
        architecture = AtlasArchitecture(rows.shape[1], n_components, int(codes.max()) + 1, n_views, bool(projections))
        network = initialized(lambda: AtlasNetwork(architecture), torch_stream(seed, Stream.WEIGHTS))
        for name, values in projections.items():
            setattr(network, name, values)
        components = components_of(network.to(rows.device), rows, stages.tracked("components", rows.n_blocks(BLOCK)))
        n_cells = len(rows)
        lengths = torch.cat([torch.linalg.vector_norm(components[:, part], dim=2) for part in in_order(n_cells)], dim=1)
        network.unit = lengths.double().square().mean(dim=1).sqrt().clamp_min(1e-12).float()
        for part in in_order(n_cells):
            components[:, part] /= network.unit[:, None, None]
        return network, components

    def _find_communities(self, seed: int, resolution: float) -> None:
        """Set the graph, the classifier of its communities, and the labels that it gives."""
        rng = stream(seed, Stream.SAMPLE)
        # The whitened graph helps at a resolution, not where clusters are split or joined up to a number.
        graph = cell_graph(
            self.embedding_, self._network.architecture.n_views, rng, seed, whiten=self.n_clusters is None
        )
        cut, value = (leiden, resolution) if self.n_clusters is None else (leiden_at, self.n_clusters)
        communities = cut(graph.links, value, graph.leiden_seed)[graph.place]
        self.graph_ = graph.of_cells()
        self._weights, self._offsets = fit_classifier(graph.codes, communities, rng)
        self._offsets = with_all(graph.codes, communities, self._weights, self._offsets)
        labels = self.assignment_of(self.embedding_).argmax(axis=1)
        sizes = np.bincount(labels, minlength=len(self._offsets))
        order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
        if len(order) < len(sizes):
            msg = f"Only {len(order)} of {len(sizes)} clusters have cells: the model cannot tell the others apart. Ask for fewer."
            warn(msg, ConvergenceWarning)
        self._weights, self._offsets = np.take(self._weights, order, axis=1), self._offsets[order]
        self.labels_ = by_size(labels).astype(np.int32)
