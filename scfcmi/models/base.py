"""What every estimator here promises: checks, inference, files."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from scfcmi import _validate
from scfcmi._logging import warn
from scfcmi._scratch import in_order
from scfcmi.errors import ModelFormatError
from scfcmi.models import files, inference
from scfcmi.models.checks import all_the_same, by_name, check_largest, check_varies
from scfcmi.models.device import choose_device
from scfcmi.models.objective import information
from scfcmi.rows import ChunkedRows, rows_of

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike
    from sklearn.utils import Tags
    from torch import Tensor, nn

# Parameters that belong to one call of fit, or to one machine, and not to the model.
_NOT_STORED = ("random_state", "device", "progress", "checkpoint", "callbacks")


class GroupedClusterer(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator, ABC):
    """Clusters cells of several groups; a network encodes them, new cells included.

    A subclass sets, in ``fit``: ``_network``, ``groups_``, ``labels_``, ``embedding_``, ``history_`` and what
    :meth:`_finish` sets.
    """

    @staticmethod
    @abstractmethod
    def _make_network(**architecture: Any) -> nn.Module:
        """Build the network of an architecture, its weights still to be filled in."""

    @abstractmethod
    def assignment_of(self, embedding: np.ndarray) -> np.ndarray:
        """Return the probability of each cluster for codes of :meth:`transform`: float32, shape (n_cells, n_clusters)."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what a file must hold beyond what all estimators have: tensors, and JSON-able content."""

    @abstractmethod
    def _restore(self, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
        """Set what :meth:`_state` returned."""

    def predict(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return the cluster of each cell, also of groups that ``fit`` has not seen.

        Parameters
        ----------
        X
            The features of ``fit``, shape (n_cells, n_features), dense or sparse.

        Returns
        -------
        Numbers of clusters, int32, shape (n_cells,).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` has not been called.
        ValueError
            If the features are not those of ``fit``, or a value is NaN or infinite.
        """
        return self.predict_proba(X).argmax(axis=1).astype(np.int32)

    def predict_proba(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return the probability of each cluster.

        Parameters
        ----------
        X
            As :meth:`predict`, which raises the same errors.

        Returns
        -------
        Probabilities, float32, shape (n_cells, n_clusters), rows summing to one.
        """
        return self.assignment_of(self.encoded(X))

    def transform(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return the codes (embedding) of cells.

        Parameters
        ----------
        X
            As :meth:`predict`, which raises the same errors.

        Returns
        -------
        Codes, float32, rows of unit length, shape (n_cells, ``n_components_``). ``AtlasFCMI`` has both views side by side: twice
        the number of principal components.
        """
        return self.encoded(X)

    def encoded(self, X: ArrayLike | sp.spmatrix) -> np.ndarray:
        """Return what :meth:`transform` does, always as an array: scikit-learn may turn the other into a data frame."""
        check_is_fitted(self, "n_clusters_")
        X = self._check_X(X, reset=False)
        rows = rows_of(X, self._to_device())
        self._network.to(rows.device)
        codes = inference.encode(self._network, rows).cpu().numpy()
        # Values outside of memory are not looked at before.
        if isinstance(X, ChunkedRows) and not all(np.isfinite(codes[part]).all() for part in in_order(len(codes))):
            check_largest(math.nan, X.name)
        return codes

    def reconstruct(self, X: ArrayLike | sp.spmatrix, groups: ArrayLike) -> np.ndarray:
        """Show each cell as if a group had measured it: its own, or another (Fig. 4 of the paper).

        Parameters
        ----------
        X
            As in ``fit``.
        groups
            The group to show each cell as, shape (n_cells,).

        Returns
        -------
        Decoded features: dense, float32, of the shape of ``X``.

        Raises
        ------
        ValueError
            If a group was not seen in ``fit``.
        """
        check_is_fitted(self, "n_clusters_")
        groups = _validate.aligned(groups, _index_of(X), "groups", "X")
        X = self._check_X(X, reset=False)
        codes, names = _validate.group_codes(groups, X.shape[0])
        codes = _validate.known_groups(names, self.groups_)[codes]
        self.prepare_decoding()
        device = self._to_device()
        return inference.reconstruct(self._network, rows_of(X, device), torch.from_numpy(codes).to(device))

    def prepare_decoding(self) -> None:
        """Do what must be done once before cells are decoded. Decoding and saving call it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file: weights as safetensors, all else as JSON. An existing file is replaced.

        The file holds no cells: ``labels_`` and ``embedding_`` are not written. Nor does it hold ``device``: a loaded model
        computes on a GPU if the machine has one.
        """
        check_is_fitted(self, "n_clusters_")
        _validate.output_file("path", path)
        self.prepare_decoding()
        tensors, content = self._state()
        content |= {
            "estimator": type(self).__name__,
            "params": {k: v for k, v in self.get_params().items() if k not in _NOT_STORED},
            "architecture": asdict(self._network.architecture),
            "groups": list(self.groups_),
            "feature_names": list(getattr(self, "feature_names_in_", [])),
            "var_names": list(getattr(self, "var_names_", [])),
            "use_rep": getattr(self, "use_rep_", None),
            "layer": getattr(self, "layer_", None),
            "n_features": self.n_features_in_,
            "n_clusters": self.n_clusters_,
            "n_components": self.n_components_,
            "settings": self.settings_,
            "information": self.information_,
            "history": self.history_.to_dict("list"),
        }
        files.write(path, "model", files.network_tensors(self._network) | tensors, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model written by :meth:`save`. It labels cells, and has no ``labels_``, ``embedding_`` and ``graph_``.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFormatError
            If the file is cut short, of another program, of a newer format, or of the other estimator.
            :func:`scfcmi.load_model` reads both.
        """
        tensors, content = files.read(path, "model")
        if content.get("estimator", cls.__name__) != cls.__name__:
            msg = (
                f"{str(path)!r} holds a model of {content['estimator']}, not of {cls.__name__}. Use scfcmi.load_model."
            )
            raise ModelFormatError(msg)
        return cls._from_file(path, tensors, content)

    @classmethod
    def _from_file(cls, path: str | os.PathLike[str], tensors: dict[str, Tensor], content: dict[str, Any]) -> Self:
        try:
            # Earlier versions stored the device. The machine that reads the file may have another one.
            model = cls().set_params(**content["params"] | {"device": "auto"})
            model._network = files.read_network(cls._make_network, content["architecture"], tensors, path)
            # Earlier versions kept numbers as they were.
            model.groups_ = np.array([_validate.group_name(name) for name in content["groups"]], dtype=object)
            model.n_features_in_ = content["n_features"]
            model.n_clusters_, model.n_components_ = content["n_clusters"], content["n_components"]
            model.settings_, model.information_ = content["settings"], content["information"]
            model.n_iter_ = len(content["history"]["loss"])
            model.history_ = pd.DataFrame(content["history"], index=_epochs(model.n_iter_))
            for name, attribute in (("feature_names", "feature_names_in_"), ("var_names", "var_names_")):
                if content[name]:
                    setattr(model, attribute, np.array(content[name], dtype=object))
            model.use_rep_, model.layer_ = content.get("use_rep"), content.get("layer")
            model._restore(tensors, content)
            model._check_parameters()
            _validate.integer("n_features", model.n_features_in_, minimum=1)
            codes = np.zeros((1, _validate.integer("n_components", model.n_components_, minimum=1)), np.float32)
            if model.assignment_of(codes).shape[1] != model.n_clusters_:
                msg = f"it does not hold n_clusters={model.n_clusters_}"
                raise ValueError(msg)
        except ModelFormatError:
            raise
        # A damaged file may hold anything in the place of anything.
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
            msg = f"{str(path)!r} is no complete scfcmi model: {error}"
            raise ModelFormatError(msg) from error
        return model

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _finish(
        self, history: list[dict[str, float]], settings: dict[str, Any], codes: np.ndarray, *, settled: bool
    ) -> None:
        """Set what all estimators say of a finished fit; ``codes`` are the group codes of its cells."""
        self.n_iter_ = len(history)
        self.history_ = pd.DataFrame(history, index=_epochs(len(history)))
        self.settings_ = settings | {"n_epochs": self.n_iter_, "settled": settled}
        assignment = torch.from_numpy(self.assignment_of(self.embedding_))
        self.n_clusters_, self.n_components_ = assignment.shape[1], self.embedding_.shape[1]
        self.information_ = information(assignment, torch.from_numpy(codes), len(self.groups_))

    def _check_y(self, y: object, groups: object) -> None:
        if y is not None and groups is None:
            msg = f"{type(self).__name__} ignores y. If these are groups, give them by name: fit(X, groups=...)."
            # Past this method, fit and its decorator.
            warn(msg)

    def _check_call(self) -> None:
        """Raise for what belongs to one call of ``fit`` and is of the wrong kind, or names a file that cannot be written."""
        if self.progress is not None:
            _validate.boolean("progress", self.progress)
        if getattr(self, "checkpoint", None) is not None:
            _validate.output_file("checkpoint", self.checkpoint)
        callbacks = () if self.callbacks is None else self.callbacks
        if not np.iterable(callbacks) or not all(callable(callback) for callback in callbacks):
            msg = f"callbacks must be a list of functions that take an Epoch, got {callbacks!r}."
            raise TypeError(msg)

    def _check_X(
        self, X: ArrayLike | sp.spmatrix | ChunkedRows, *, reset: bool
    ) -> np.ndarray | sp.csr_matrix | sp.csr_array | ChunkedRows:
        """Return a matrix, float32, dense or CSR; on ``reset``, remember its features.

        Rows outside of memory are encoded where they are. ``fit`` reads them into it, unless a subclass can do without.
        """
        if isinstance(X, ChunkedRows) and not reset:
            return self._check_shape(X, reset=False)
        X = X.to_memory() if isinstance(X, ChunkedRows) else X
        names = getattr(self, "var_names_", None)
        if names is not None and not reset and isinstance(X, pd.DataFrame):
            X = by_name(X, names)
        _validate.matrix_like(X)
        _validate.sparse_structure("X", X)
        return validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=np.float32,
            order="C",
            ensure_min_samples=2 if reset else 1,
        )

    def _check_shape(self, X: ChunkedRows, *, reset: bool) -> ChunkedRows:
        """Return rows outside of memory if there are enough, of as many features as in ``fit``."""
        if reset:
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
        problem = ""
        if reset and len(X) < 2:
            problem = f"{len(X)} cells: give two or more"
        elif X.shape[1] != self.n_features_in_:
            problem = f"{X.shape[1]} features, but {type(self).__name__} was fitted on {self.n_features_in_}"
        if problem:
            msg = f"{X.name} has {problem}."
            raise ValueError(msg)
        return X

    def _check_cells(
        self, X: ArrayLike | sp.spmatrix, groups: ArrayLike | None
    ) -> tuple[np.ndarray | sp.csr_matrix | sp.csr_array | ChunkedRows, np.ndarray, np.ndarray]:
        """Return the matrix of ``fit``, the codes of the groups, and their names."""
        self._check_call()
        groups = _validate.aligned(groups, _index_of(X), "groups", "X")
        X = self._check_X(X, reset=True)
        # Of an earlier fit. Until this one ends, the model is not fitted.
        for name in ("var_names_", "use_rep_", "layer_", "n_clusters_"):
            self.__dict__.pop(name, None)
        n_cells = X.shape[0]
        if self.n_clusters is not None and self.n_clusters > n_cells:
            msg = f"n_clusters={self.n_clusters} is more than the number of cells, n_samples={n_cells}."
            raise ValueError(msg)
        # Of rows outside of memory, both are seen in the first pass over them.
        if not isinstance(X, ChunkedRows):
            values = X.data if sp.issparse(X) else X
            check_largest(max(values.max(initial=0), -values.min(initial=0)))
            check_varies(not all_the_same(X), X.shape)
        return X, *_validate.codes_by_appearance(np.zeros(n_cells, int) if groups is None else groups, n_cells)

    def _to_device(self) -> torch.device:
        device = choose_device(self.device)
        self._network.to(device)
        return device


def _index_of(X: object) -> pd.Index | None:
    return X.index if isinstance(X, pd.DataFrame) else None


def _epochs(n_epochs: int) -> pd.RangeIndex:
    return pd.RangeIndex(1, n_epochs + 1, name="epoch")
