"""FCMI, the method of the paper, as a scikit-learn estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from scfcmi import _validate
from scfcmi._initialization import with_gradients
from scfcmi._logging import warn
from scfcmi._random import seed_from
from scfcmi.models.assignment import soft_assignment
from scfcmi.models.base import GroupedClusterer
from scfcmi.models.checks import epochs_for
from scfcmi.models.device import choose_device, half_precision
from scfcmi.models.objective import Weights
from scfcmi.models.paper.best_of import train_best
from scfcmi.models.paper.composition import THRESHOLD, composition_imbalance
from scfcmi.models.paper.network import IMAGE_SHAPE, Architecture, AutoEncoder
from scfcmi.models.paper.training import FCMISettings
from scfcmi.rows import rows_of, value_range

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import scipy.sparse as sp
    from numpy.typing import ArrayLike
    from torch import Tensor

    from scfcmi._random import RandomState
    from scfcmi.models.callbacks import Epoch
    from scfcmi.rows import Rows

# Training had settled if at most this share of the cells changed cluster in the last epoch.
_SETTLED = 0.01
# The paper's weight of L_fair, its epochs and its warm-up.
_BETA, _MIN_EPOCHS, _MAX_EPOCHS, _WARMUP = 0.20, 10, 300, 20


class FCMI(GroupedClusterer):
    """Cluster samples so that clusters do not depend on their group: the method as published, paper mode.

    An auto-encoder maps samples to codes of unit length. Its decoder is told the group, so codes need not carry it.
    Training maximizes I(X;C|G), which makes clusters compact and of even size. It minimizes I(G;C), which makes clusters
    independent of the group: ``L = L_rec + alpha L_clu + beta L_fair``, Eq. 12 of Zeng et al., CVPR 2023. All defaults
    except ``chance_correction``, ``decoder`` and ``precision`` are those of the paper or of its code. Without groups, it is
    plain deep clustering.

    Parameters
    ----------
    n_clusters
        Number of clusters, K.
    alpha
        Weight of L_clu = H(C|X) - H(C), Eq. 7.
    beta
        Weight of L_fair = I(G;C), Eq. 8. ``None`` decides as the paper does for its atlas: 0 where cell types are
        unevenly spread over groups, 0.20 otherwise. Uneven means that the composition imbalance, an estimate of
        I(G;Y) / H(G) that needs no labels, is above 0.01
        (:func:`scfcmi.models.paper.composition.composition_imbalance`).
    balance
        Weight of -H(C) alone, which pulls clusters to one size. ``None`` takes ``alpha``, as Eq. 12 does, or 0 if
        ``beta=None`` finds groups uneven. 0 lets clusters be as uneven as the data are.
    temperature
        Temperature of the soft assignment: softmax of cosine / temperature. Lower values make it harder.
    n_components
        Dimension of the code. ``None`` takes ``n_clusters``, as the paper does.
    decoder
        ``"branches"``: a decoder for each group, as in the paper; memory grows with the number of groups. ``"shared"``: one
        decoder that is told the group. ``"auto"``: branches for up to three groups of at least 256 cells each, else shared.
    chance_correction
        Whether to subtract from I(G;C) of a mini-batch what chance gives
        (``scfcmi.models.objective.chance_information``). With T groups and B cells, Eq. 6 of a mini-batch is about
        (K - 1)(T - 1) / 2B nats too high. That rewards fewer clusters. ``False`` is the authors' code.
    learning_rate
        Learning rate of Adam. The paper prints 1e-4, the authors' runs used 1e-3.
    batch_size
        Largest number of cells in a mini-batch, at least two. Mini-batches are of even size.
    max_epochs
        Number of passes over the cells. ``None`` takes as many as 1,000 mini-batches allow, between 10 and the paper's
        300.
    warmup_epochs
        Number of epochs at the start that minimize L_rec alone. ``None`` takes 20, or a fifth of all epochs if that is
        fewer.
    patience
        Training ends early after so many epochs in a row, after warm-up, in which at most a thousandth of the cells change
        cluster. ``None`` trains to the end, as the paper does.
    n_init
        Number of training runs. The run with the lowest Eq. 12 over all cells is kept.
    random_state
        Seed of all random numbers. An integer gives the same labels again on the same machine.
    device
        ``"auto"`` takes a CUDA device if there is one, and the CPU otherwise. Or the name of one, such as ``"cuda:1"``.
    precision
        ``"float32"``; ``"bfloat16"``, for passes through the network only; or ``"auto"``: bfloat16 on a GPU, or for images,
        where the processor computes in it. With bfloat16 on a CPU, labels depend on the number of threads.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.
    checkpoint
        File that keeps the state of training, written at most once a minute. If it exists, and is of the same data and
        settings, training goes on from there, to the same end. With ``n_init`` above 1, each run has a file: the names of
        the later ones end in ``.2`` and so on.
    callbacks
        Functions that receive a :class:`scfcmi.models.callbacks.Epoch` after every epoch.

    Attributes
    ----------
    labels_
        Cluster of each cell of ``fit``, int32, shape (n_cells,).
    embedding_
        Codes of these cells, unit length, float32, shape (n_cells, n_components).
    cluster_centers_
        Unit length, float32, shape (n_clusters, n_components).
    groups_
        Names of the groups, as text, in code order.
    history_
        Table with a row for each epoch. ``loss``, ``L_rec``, ``L_clu`` and ``L_fair`` are means over mini-batches, as
        minimized. ``H_C``, ``H_C_given_X``, ``I_G_C`` and ``I_X_C_given_G`` are over all cells, in nats. ``changed`` is the
        share of cells that changed cluster. ``size_0`` and so on are the numbers of cells in clusters.
    information_
        H(C), H(C|X), I(G;C) and I(X;C|G) of the soft assignment of all cells, in nats, as a dictionary.
    settings_
        Settings as used, with those that the data decided, as a dictionary of plain scalars.
    objectives_
        Eq. 12 over all cells at the end of each of the ``n_init`` runs.
    decoder_, precision_
        The decoder and the precision that were used.
    n_clusters_, n_components_
        Number of clusters, and dimension of the code.
    n_iter_
        Number of epochs trained.
    n_features_in_
        Number of features, or of pixels.
    feature_names_in_, var_names_
        Names of the features, if ``fit`` was given a data frame, or :func:`scfcmi.tl.fit_model` named genes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = FCMI(n_clusters=10, max_epochs=30).fit(X / 8 - 1)
    >>> model.predict_proba(X[:3] / 8 - 1).shape
    (3, 10)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        alpha: float = 0.04,
        beta: float | None = 0.20,
        balance: float | None = None,
        temperature: float = 0.1,
        n_components: int | None = None,
        decoder: Literal["auto", "branches", "shared"] = "auto",
        chance_correction: bool = True,
        learning_rate: float = 1e-3,
        batch_size: int = 512,
        max_epochs: int | None = 300,
        warmup_epochs: int | None = None,
        patience: int | None = None,
        n_init: int = 1,
        random_state: RandomState = 0,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callable[[Epoch], None]] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.beta = beta
        self.balance = balance
        self.temperature = temperature
        self.n_components = n_components
        self.decoder = decoder
        self.chance_correction = chance_correction
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.warmup_epochs = warmup_epochs
        self.patience = patience
        self.n_init = n_init
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.progress = progress
        self.checkpoint = checkpoint
        self.callbacks = callbacks

    @with_gradients
    def fit(self, X: ArrayLike | sp.spmatrix, y: object = None, *, groups: ArrayLike | None = None) -> FCMI:
        """Train on cells and their groups.

        Parameters
        ----------
        X
            Features, dense or sparse, shape (n_cells, n_features). A sparse matrix is taken as CSR and never made dense as
            a whole. Or images, shape (n_cells, 1, 28, 28), for which the network is convolutional.
        y
            Not used, with a warning. It is here because scikit-learn passes it. Give groups by name: ``groups=``.
        groups
            Group of each cell (technology, donor, laboratory), shape (n_cells,). Values may be of any kind and are told
            apart by their text. If ``X`` is a data frame, a Series is matched by its index. ``None`` is one group.

        Returns
        -------
        The model itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array is not as described, before training starts.
        FloatingPointError
            If the loss is no longer finite.
        """
        self._check_y(y, groups)
        self._check_parameters()
        device = choose_device(self.device)
        X, codes, names = self._check_cells(X, groups)
        rows = rows_of(X, device)
        weights, decided = self._weights(rows, codes)
        settings = self._settings(rows, weights, device)
        architecture = self._architecture(rows, codes)
        progress, embedding, objectives = train_best(
            architecture,
            rows,
            torch.from_numpy(codes).to(device),
            settings,
            n_init=self.n_init,
            checkpoint=self.checkpoint,
            show_progress=self.progress,
            callbacks=self.callbacks or (),
        )

        self._network = progress.network
        self.groups_ = names
        self.decoder_ = architecture.decoder
        self.precision_ = "bfloat16" if settings.half_precision else "float32"
        self.objectives_ = objectives
        self.labels_ = progress.labels.cpu().numpy().astype(np.int32)
        self.embedding_ = embedding.cpu().numpy()
        self.cluster_centers_ = progress.centers.cpu().numpy()
        of_settings = ("temperature", "learning_rate", "batch_size", "max_epochs", "warmup_epochs")
        used = {name: getattr(settings, name) for name in of_settings}
        used |= {"decoder": self.decoder_, "precision": self.precision_, "random_state": settings.seed}
        changed = progress.history[-1]["changed"]
        self._finish(progress.history, decided | used, codes, settled=changed <= _SETTLED)
        if not self.settings_["settled"]:
            msg = f"{changed:.0%} of the cells changed cluster in the last epoch. Raise max_epochs={self.n_iter_}."
            warn(msg, ConvergenceWarning)
        return self

    @with_gradients
    def assignment_of(self, embedding: np.ndarray) -> np.ndarray:
        """Return the soft assignment of codes, as :meth:`transform` returns them: float32, shape (n_cells, n_clusters)."""
        codes, centers = torch.from_numpy(embedding), torch.from_numpy(self.cluster_centers_)
        return soft_assignment(codes, centers, self.temperature).numpy()

    @staticmethod
    def _make_network(**architecture: Any) -> AutoEncoder:
        return AutoEncoder(Architecture(**architecture))

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"centers": torch.from_numpy(self.cluster_centers_)}, {"objectives": self.objectives_}

    def _restore(self, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
        if self._network.architecture.convolutional:
            self._network.to(memory_format=torch.channels_last)
        self.cluster_centers_ = tensors["centers"].numpy()
        self.objectives_ = content["objectives"]
        self.decoder_, self.precision_ = self.settings_["decoder"], self.settings_["precision"]

    def _check_parameters(self) -> None:
        """Raise ``TypeError`` or ``ValueError`` for the first parameter that is wrong, whatever the cells are."""
        _validate.one_of("decoder", self.decoder, ("auto", "branches", "shared"))
        _validate.one_of("precision", self.precision, ("auto", "float32", "bfloat16"))
        _validate.boolean("chance_correction", self.chance_correction)
        for name, minimum in (("n_clusters", 1), ("n_init", 1), ("batch_size", 2)):
            _validate.integer(name, getattr(self, name), minimum=minimum)
        for name, minimum in (("n_components", 1), ("max_epochs", 1), ("warmup_epochs", 0), ("patience", 1)):
            if getattr(self, name) is not None:
                _validate.integer(name, getattr(self, name), minimum=minimum)
        _validate.number("alpha", self.alpha)
        for name in ("beta", "balance"):
            if getattr(self, name) is not None:
                _validate.number(name, getattr(self, name))
        for name in ("temperature", "learning_rate"):
            _validate.number(name, getattr(self, name), strict=True)

    def _weights(self, rows: Rows, codes: np.ndarray) -> tuple[Weights, dict[str, Any]]:
        """Return the weights of Eq. 12, and what ``settings_`` says of them."""
        beta, balance, how = self.beta, self.balance, {"beta_rule": "given"}
        if beta is None:
            imbalance = composition_imbalance(rows, codes, self.n_clusters)
            beta = 0.0 if imbalance > THRESHOLD else _BETA
            balance = 0.0 if imbalance > THRESHOLD and balance is None else balance
            how = {"beta_rule": "composition", "composition_imbalance": imbalance}
        balance = self.alpha if balance is None else balance
        weights = Weights(compactness=float(self.alpha), balance=float(balance), fairness=float(beta))
        return weights, how | {"alpha": weights.compactness, "beta": weights.fairness, "balance": weights.balance}

    def _settings(self, rows: Rows, weights: Weights, device: torch.device) -> FCMISettings:
        max_epochs = epochs_for(len(rows), self.batch_size, self.max_epochs, least=_MIN_EPOCHS, most=_MAX_EPOCHS)
        return FCMISettings(
            n_clusters=self.n_clusters,
            weights=weights,
            temperature=float(self.temperature),
            learning_rate=float(self.learning_rate),
            batch_size=self.batch_size,
            max_epochs=max_epochs,
            warmup_epochs=min(_WARMUP, max_epochs // 5) if self.warmup_epochs is None else self.warmup_epochs,
            patience=self.patience,
            seed=seed_from(self.random_state),
            chance_corrected=bool(self.chance_correction),
            half_precision=half_precision(self.precision, device, images=len(rows.shape) > 2),
        )

    def _architecture(self, rows: Rows, codes: np.ndarray) -> Architecture:
        """Return the network that the parameters, the cells and their groups call for."""
        decoder = self.decoder
        if decoder == "auto":
            sizes = np.bincount(codes)
            decoder = "branches" if len(sizes) <= 3 and sizes.min() >= 256 else "shared"
        lowest, highest = value_range(rows)
        return Architecture(
            n_features=self.n_features_in_,
            n_groups=int(codes.max()) + 1,
            n_dims=self.n_clusters if self.n_components is None else self.n_components,
            convolutional=len(rows.shape) > 2,
            decoder=decoder,
            bounded=lowest >= -1 and highest <= 1,
        )

    def _check_X(self, X: ArrayLike | sp.spmatrix, *, reset: bool) -> np.ndarray | sp.csr_matrix | sp.csr_array:
        _validate.matrix_like(X)
        X = X if hasattr(X, "shape") else np.asarray(X)
        images = len(X.shape) > 2
        if images and X.shape[1:] != IMAGE_SHAPE:
            msg = f"Images must be of shape (n_cells, 1, 28, 28), got {X.shape}."
            raise ValueError(msg)
        if not reset and images != self._network.architecture.convolutional:
            expected = "images of shape (n_cells, 1, 28, 28)" if not images else "a matrix (n_cells, n_features)"
            msg = f"The model was fitted on {expected}, got an array of shape {X.shape}."
            raise ValueError(msg)
        X = super()._check_X(np.reshape(X, (len(X), -1)) if images else X, reset=reset)
        return X.reshape(-1, *IMAGE_SHAPE) if images else X
