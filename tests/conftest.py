from __future__ import annotations

import inspect
import logging
import os
import sys
import tempfile
from pathlib import Path

import anndata as ad
import hypothesis
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from jupyter_core.paths import jupyter_runtime_dir
from scipy.special import softmax

# No test opens a window.
mpl.use("agg")
# No test fails because the machine is busy.
hypothesis.settings.register_profile("scfcmi", deadline=None)
hypothesis.settings.load_profile("scfcmi")
SINGLE_CELL = ("pbmc_3tech", "kang_ctrl_8donors", "human_dc", "rnamix_2protocol")


def _refuse_network(event, arguments):
    """No code under test reaches another machine: what is downloaded in tests comes from a server on this one."""
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1", "::1"):
        msg = f"a test asked for the address of {arguments[0]!r}"
        raise RuntimeError(msg)
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        msg = f"a test connected to {arguments[1]!r}"
        raise RuntimeError(msg)


# What may be written to: temporary folders, caches of Python, pytest, matplotlib, hypothesis and Jupyter, devices, and
# the report of "make torture".
_WRITABLE_FOLDERS = tuple(
    os.path.realpath(folder)
    for folder in (
        *(tempfile.gettempdir(), mpl.get_cachedir(), mpl.get_configdir(), jupyter_runtime_dir()),
        *("/dev", "/proc/self", os.environ.get("SCFCMI_TORTURE", os.devnull)),
    )
)
_WRITABLE_NAMES = {"__pycache__", ".pytest_cache", ".hypothesis", ".coverage"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of one path or two, each followed by as many folders that the paths are relative to.
_CHANGES = {
    **dict.fromkeys(("os.remove", "os.rmdir"), (1, 1)),
    **dict.fromkeys(("os.mkdir", "os.chmod", "os.truncate", "os.utime"), (1, None)),
    **dict.fromkeys(("os.rename", "os.link"), (2, 2)),
    **dict.fromkeys(("shutil.rmtree", "sqlite3.connect"), (1, None)),
}
_written: list[str] = []


def _refuse_writes(event, arguments):
    """No code under test writes outside: what HDF5 opens by itself is not seen, but its temporary name is."""
    # Between tests pytest writes files of its own.
    if "PYTEST_CURRENT_TEST" not in os.environ:
        return
    if event == "open":
        paths = arguments[:1] if (arguments[2] or 0) & _WRITES else ()
    elif event in _CHANGES:
        number, folder = _CHANGES[event]
        # A path that is relative to an open folder is of a tree whose removal was seen.
        paths = arguments[:number] if folder is None or arguments[number] in (-1, None) else ()
    else:
        return
    for path in paths:
        if not isinstance(path, (str, bytes, os.PathLike)):
            continue
        full = os.path.realpath(os.fsdecode(path))
        inside = any(full == folder or full.startswith(folder + os.sep) for folder in _WRITABLE_FOLDERS)
        if not inside and not _WRITABLE_NAMES.intersection(Path(full).parts):
            _written.append(f"{event} of {full!r}")
            msg = f"a test would write outside temporary folders: {_written[-1]}"
            raise RuntimeError(msg)


def pytest_configure():
    sys.addaudithook(_refuse_network)
    sys.addaudithook(_refuse_writes)


@pytest.fixture(autouse=True)
def written_outside():
    """Code under test may catch what the hook raises, but not this."""
    _written.clear()
    yield _written
    assert not _written


def pytest_collection_modifyitems(items):
    folder = os.environ.get("SCFCMI_DATA_DIR")
    if folder and Path(folder).is_dir():
        return
    reason = f"SCFCMI_DATA_DIR is {'not a folder: ' + folder if folder else 'not set'}; this test reads real data"
    for item in items:
        if "needs_data" in item.keywords or "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _fresh_logger():
    logger = logging.getLogger("scfcmi")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def quick_decoders(monkeypatch):
    """For tests that look at names, and not at what is decoded."""
    monkeypatch.setattr("scfcmi.models.atlas.training._DECODER_STEPS", 3)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return Path(os.environ["SCFCMI_DATA_DIR"])


@pytest.fixture(scope="session")
def _pbmc(data_dir) -> ad.AnnData:
    return ad.read_h5ad(data_dir / "singlecell" / "pbmc_3tech.h5ad")


@pytest.fixture
def pbmc(_pbmc) -> ad.AnnData:
    """1,200 blood cells measured by three chemistries."""
    return _pbmc.copy()


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three well separated types in two groups of one composition, the second shifted: X, labels, groups."""
    rng = np.random.default_rng(0)
    labels, groups = np.arange(240) % 3, np.arange(240) // 3 % 2
    centers = rng.normal(size=(3, 20)) * 3
    X = centers[labels] + groups[:, None] * rng.normal(size=20) * 0.5 + rng.normal(size=(240, 20)) * 0.5
    order = rng.permutation(240)
    return X[order].astype(np.float32), labels[order], groups[order]


@pytest.fixture
def small(blobs) -> ad.AnnData:
    """The blobs as non-negative sparse expression, with groups of every kind."""
    X, labels, groups = blobs
    obs = pd.DataFrame(
        {
            "tech": pd.Categorical(np.array(["10x", "seqwell"])[groups], categories=["seqwell", "10x", "unused"]),
            "tech_string": np.array(["10x", "seqwell"])[groups],
            "tech_integer": groups + 7,
            "tech_boolean": groups == 1,
            "label": pd.Categorical(labels.astype(str)),
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    return ad.AnnData(sp.csr_matrix(np.maximum(X + 6, 0)), obs=obs)


@pytest.fixture
def clustered(small):
    """Cells as fair_cluster leaves them: cluster 2 is mixed up with cluster 1 in one batch; nothing is trained."""
    rng = np.random.default_rng(0)
    label = small.obs["label"].astype(int).to_numpy()
    clusters = np.where((label == 1) & (small.obs["tech"] == "10x"), 2, label)
    embedding = np.eye(3)[clusters] + rng.normal(scale=0.1, size=(240, 3))
    small.obs["fcmi"] = pd.Categorical(clusters.astype(str), categories=["0", "1", "2"])
    small.obsm["X_fcmi"] = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)).astype(np.float32)
    small.obsm["fcmi_proba"] = softmax(10 * small.obsm["X_fcmi"], axis=1)
    epochs = pd.Index([str(i) for i in range(1, 31)], name="epoch")
    columns = ("loss", "L_rec", "L_clu", "L_fair", "H_C", "H_C_given_X", "I_G_C", "I_X_C_given_G", "changed")
    history = pd.DataFrame(rng.random((30, 9)), columns=columns, index=epochs)
    history[["size_0", "size_1", "size_2"]] = 80
    small.uns["fcmi"] = {
        "params": {
            "batch_key": "tech",
            "warmup_epochs": 6,
            "max_epochs": 40,
            "matrix": "20 features of X",
            "version": "0",
        },
        "history": history,
    }
    return small


@pytest.fixture
def put_map():
    """Put any map in place, so that no test computes one that need not."""

    def put(adata):
        adata.obsm["X_fcmi_umap"] = np.random.default_rng(0).random((adata.n_obs, 2), np.float32)
        adata.uns["fcmi_umap"] = {"n_neighbors": 15, "random_state": 0}

    return put


@pytest.fixture
def check_plot(monkeypatch):
    """What all plots have in common with scanpy's, and the sizes that they have in print; takes a plot's function."""
    shown = []
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: shown.append(1))

    def check(function, *args):
        arguments = inspect.signature(function).parameters
        for argument, default in (("ax", None), ("show", None), ("return_fig", False)):
            assert arguments[argument].kind is inspect.Parameter.KEYWORD_ONLY
            assert arguments[argument].default is default
        assert "save" not in arguments

        drawn = function(*args, show=False)
        axes = drawn if isinstance(drawn, list) else [drawn]
        own = mpl.figure.Figure().subplots(len(axes), squeeze=False).ravel().tolist()
        again = function(*args, ax=own if isinstance(drawn, list) else own[0])
        assert (again if isinstance(again, list) else [again]) == own
        assert isinstance(function(*args, return_fig=True), mpl.figure.Figure)
        assert not shown
        assert function(*args, show=True) is None
        assert shown

        # scanpy's figure parameters make text half as large again, and draw a grid.
        with mpl.rc_context():
            sc.set_figure_params(fontsize=18)
            before = dict(mpl.rcParams)
            figure = function(*args, return_fig=True)
            assert dict(mpl.rcParams) == before
            figure.draw_without_rendering()
        texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip()]
        assert texts
        assert max(text.get_fontsize() for text in texts) <= 12
        lines = [line for ax in figure.axes for line in (*ax.get_xgridlines(), *ax.get_ygridlines())]
        assert not any(line.get_visible() for line in lines)

    return check
