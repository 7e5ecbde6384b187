"""FCMI as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from scfcmi import _validate
from scfcmi.batches import rows_of
from scfcmi.errors import ConvergenceWarning
from scfcmi.model import persistence, training
from scfcmi.model.device import choose_device
from scfcmi.model.networks import IMAGE_SHAPE
from scfcmi.model.objective import soft_assignment
from scfcmi.model.restarts import train_best
from scfcmi.model.settings import architecture_of, plan_of

if TYPE_CHECKING:
    import os

    import scipy.sparse as sp
    from numpy.typing import ArrayLike
    from sklearn.utils import Tags

    from scfcmi._random import RandomState

_UNSETTLED = 0.05


class FCMI(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator):
    """Deep fair clustering by maximising and minimising mutual information.

    An auto-encoder maps cells to codes of unit length; its decoder is told the group, so that codes need not carry
    it. Clusters are compact and of even size by maximising I(X;C|G), and independent of the group by minimising
    I(G;C): ``L = L_rec + alpha L_clu + beta L_fair``, Eq. 12 of Zeng et al., CVPR 2023. The defaults are the
    paper's, but for ``chance_correction`` and ``decoder``. Without groups it is plain deep clustering.

    Parameters
    ----------
    n_clusters
        Number of clusters, K.
    alpha
        Weight of L_clu = H(C|X) - H(C), Eq. 7.
    beta
        Weight of L_fair = I(G;C), Eq. 8.
    balance
        Weight of -H(C) alone, which pulls clusters to one size. ``None`` takes ``alpha``, as Eq. 12; 0 lets
        clusters be as uneven as the data are.
    temperature
        Temperature of the soft assignment, softmax of cosine / temperature.
    n_components
        Dimension of the code. ``None`` takes ``n_clusters``, as the paper.
    decoder
        ``"branches"``: one decoder a group, as the paper; memory grows with the number of groups. ``"shared"``: one
        decoder told the group. ``"auto"``: branches for up to three groups of at least 256 cells each, else shared.
    chance_correction
        Whether to take off I(G;C) of a mini-batch what chance gives (``scfcmi.model.objective.chance_information``).
        With T groups and B cells, Eq. 6 of a mini-batch is some (K - 1)(T - 1) / 2B nats too high, which rewards fewer
        clusters. ``False`` is the authors' code.
    learning_rate
        Of Adam. The paper prints 1e-4, the authors' runs used 1e-3.
    batch_size
        Cells a mini-batch, at least two. Mini-batches are of even size, at most this one.
    max_epochs
        Number of passes over the cells.
    warmup_epochs
        Number of these, at the start, that minimise L_rec alone.
    patience
        Number of epochs in a row, after warm-up, with at most a thousandth of the cells changing cluster, after which
        training ends early. ``None`` trains to the end, as the paper.
    n_init
        Number of training runs, from different draws, of which the one with the lowest Eq. 12 over all cells is kept.
        The first is the one that ``n_init=1`` gives.
    random_state
        Seed of all that is drawn. An integer gives the same labels again on the same machine.
    device
        ``"auto"`` takes a CUDA device if there is one, else the CPU; or any name torch knows.
    precision
        ``"float32"``, ``"bfloat16"`` (passes through the network only), or ``"auto"``: bfloat16 where the processor
        computes in it.
    progress
        Whether to draw a progress bar. ``None`` draws it on a terminal or in a notebook only.
    checkpoint
        File to keep the state of training in, at most once a minute. If it exists, and is of the same data and
        settings, training goes on from there, to the same end. Of several runs, each has a file: the names of the
        later ones end in ``.2`` and so on.

    Attributes
    ----------
    labels_
        Cluster of each cell of ``fit``, int32, shape (n_cells,).
    embedding_
        Codes of these cells, unit length, float32, shape (n_cells, n_components).
    cluster_centers_
        Unit length, float32, shape (n_clusters, n_components).
    groups_
        Names of the groups in code order.
    history_
        One row an epoch. Mini-batch means of ``loss``, ``L_rec``, ``L_clu``, ``L_fair`` as minimised; over all cells,
        in nats, ``H_C``, ``H_C_given_X``, ``I_G_C``, ``I_X_C_given_G``; ``changed``, the share of cells that changed
        cluster; ``size_0`` and so on, cells a cluster.
    objectives_
        Eq. 12 over all cells at the end of each of the ``n_init`` runs.
    decoder_
        The form of decoder taken.
    precision_
        The precision taken.
    n_iter_
        Number of epochs trained.
    n_features_in_
        Number of features (pixels, of images).
    feature_names_in_
        Names of the features, if ``fit`` was given a data frame.
    var_names_
        Names of the features, if :func:`scfcmi.tl.fair_cluster` fitted the model on named genes.

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
        beta: float = 0.20,
        balance: float | None = None,
        temperature: float = 0.1,
        n_components: int | None = None,
        decoder: Literal["auto", "branches", "shared"] = "auto",
        chance_correction: bool = True,
        learning_rate: float = 1e-3,
        batch_size: int = 512,
        max_epochs: int = 300,
        warmup_epochs: int = 20,
        patience: int | None = None,
        n_init: int = 1,
        random_state: RandomState = 0,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
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

    def fit(self, X: ArrayLike | sp.spmatrix, y: object = None, *, groups: ArrayLike | None = None) -> FCMI:
        """Train on cells and their groups.

        Parameters
        ----------
        X
            Dense or sparse (taken as CSR, never densified whole), shape (n_cells, n_features); or images, shape
            (n_cells, 1, 28, 28), which choose the convolutional network.
        y
            Ignored, with a warning; here because scikit-learn calls so. Groups are given by name.
        groups
            Group of each cell (technology, donor, laboratory): strings, integers, booleans or a categorical, shape
            (n_cells,). ``None`` is one group.

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
        if y is not None and groups is None:
            msg = "FCMI ignores y. If these are groups, give them by name: fit(X, groups=...)."
            warnings.warn(msg, UserWarning, stacklevel=2)
        plan = plan_of(self)
        device = choose_device(self.device)
        X = self._check_X(X, reset=True)
        n_cells = X.shape[0]
        if plan.n_clusters > n_cells:
            msg = f"n_clusters={plan.n_clusters} is more than the number of cells, n_samples={n_cells}."
            raise ValueError(msg)
        codes, names = _validate.group_codes(np.zeros(n_cells, int) if groups is None else groups, n_cells)

        architecture = architecture_of(self, X, codes)
        progress, embedding, self.objectives_ = train_best(self, architecture, X, codes, plan, device)

        self._network = progress.network
        self.groups_ = names
        self.decoder_ = architecture.decoder
        self.temperature_ = self.temperature
        self.precision_ = "bfloat16" if plan.half_precision else "float32"
        self.labels_ = progress.labels.cpu().numpy().astype(np.int32)
        self.embedding_ = embedding.cpu().numpy()
        self.cluster_centers_ = progress.centers.cpu().numpy()
        self.history_ = pd.DataFrame(progress.history, index=pd.RangeIndex(1, progress.epoch + 1, name="epoch"))
        self.n_iter_ = progress.epoch
        self._warn_if_unsettled()
        return self

    def predict(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return the cluster of each cell, of groups seen in ``fit`` or not: int32, shape (n_cells,)."""
        return self.predict_proba(X).argmax(axis=1).astype(np.int32)

    def predict_proba(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return the soft assignment: float32, shape (n_cells, n_clusters), rows summing to one."""
        return self.assignment_of(self.transform(X))

    def assignment_of(self, embedding: np.ndarray) -> np.ndarray:
        """Return the soft assignment of codes, as :meth:`transform` returns them: float32, shape (n_cells, n_clusters)."""
        check_is_fitted(self, "cluster_centers_")
        codes, centers = torch.from_numpy(embedding), torch.from_numpy(self.cluster_centers_)
        return soft_assignment(codes, centers, self.temperature_).numpy()

    def transform(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return the codes: float32, shape (n_cells, n_components), rows of unit length."""
        return self._encode(X).cpu().numpy()

    def reconstruct(self, X: ArrayLike | sp.spmatrix, groups: ArrayLike) -> np.ndarray:
        """Encode cells and decode each as a member of a group, its own or another (Fig. 4 of the paper).

        Parameters
        ----------
        X
            As in ``fit``.
        groups
            Group to decode each cell as, shape (n_cells,).

        Returns
        -------
        Dense float32, of the shape of ``X``.

        Raises
        ------
        ValueError
            If a group was not seen in ``fit``.
        """
        check_is_fitted(self, "cluster_centers_")
        X = self._check_X(X, reset=False)
        codes, names = _validate.group_codes(groups, X.shape[0])
        codes = _validate.known_groups(names, self.groups_)[codes]
        device = self._to_device()
        return training.reconstruct(self._network, rows_of(X, device), torch.from_numpy(codes).to(device))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file: weights as safetensors, all else as JSON. An existing file is replaced.

        What belongs to the cells of ``fit`` (``labels_``, ``embedding_``) is not written.
        """
        check_is_fitted(self, "cluster_centers_")
        persistence.write_model(path, self)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> FCMI:
        """Read a model written by :meth:`save`, of the class that wrote it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFormatError
            If the file is truncated, foreign, or of a newer format.
        """
        # Here, for the other estimator is a kind of this one.
        from scfcmi.model.atlas import AtlasFCMI

        return persistence.read_model(path, {"FCMI": FCMI, "AtlasFCMI": AtlasFCMI})

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.cluster_centers_.shape[1]

    def _check_X(self, X: ArrayLike | sp.spmatrix, *, reset: bool) -> np.ndarray | sp.csr_matrix | sp.csr_array:
        X = X if hasattr(X, "shape") else np.asarray(X)
        images = len(X.shape) > 2
        if images and X.shape[1:] != IMAGE_SHAPE:
            msg = f"Images must be of shape (n_cells, 1, 28, 28), got {X.shape}."
            raise ValueError(msg)
        if not reset and images != self._network.architecture.convolutional:
            expected = "images of shape (n_cells, 1, 28, 28)" if not images else "a matrix (n_cells, n_features)"
            msg = f"The model was fitted on {expected}, got an array of shape {X.shape}."
            raise ValueError(msg)
        X = validate_data(
            self,
            np.reshape(X, (len(X), -1)) if images else X,
            reset=reset,
            accept_sparse="csr",
            dtype=np.float32,
            order="C",
            ensure_min_samples=2 if reset else 1,
        )
        return X.reshape(-1, *IMAGE_SHAPE) if images else X

    def _on_epoch(self, progress: training.Progress) -> None:
        """Watch training: subclasses are told of every epoch."""

    def _encode(self, X: ArrayLike | sp.spmatrix) -> torch.Tensor:
        check_is_fitted(self, "cluster_centers_")
        X = self._check_X(X, reset=False)
        return training.encode(self._network, rows_of(X, self._to_device()))

    def _to_device(self) -> torch.device:
        device = choose_device(self.device)
        self._network.to(device)
        return device

    def _warn_if_unsettled(self) -> None:
        changed = self.history_["changed"].iloc[-1]
        if changed > _UNSETTLED:
            msg = (
                f"{changed:.0%} of the cells changed cluster in the last epoch. Raise max_epochs (now {self.n_iter_})."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=3)
