"""``scfcmi repeat``: whether the same call on the same cells gives the same clusters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfcmi.cli import _cells, _files

if TYPE_CHECKING:
    import argparse

    from anndata import AnnData

_WORDS = """\
Clusters the cells of IN.h5ad again, as 'scfcmi cluster' or scfcmi.tl.fair_cluster did for OUT.h5ad, and compares the
clusters cell by cell. Writes nothing. The exit code is 0 if they are identical, 1 otherwise."""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``repeat``."""
    repeat = commands.add_parser("repeat", help="cluster the same cells again, and compare", description=_WORDS)
    repeat.add_argument("result", type=Path, metavar="OUT.h5ad", help="what 'scfcmi cluster' wrote")
    _files.add_input(repeat, help="the cells that were clustered")
    repeat.add_argument("--key-added", default="fcmi", help="name of the result (default fcmi)")
    repeat.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from scfcmi import __version__, tl

    result = _files.Input("OUT.h5ad", options.result, _files.CELLS)
    cells = _files.Input("IN.h5ad", options.input, _files.CELLS)
    _files.check_paths([result, cells], [], overwrite=False)
    key = options.key_added
    before = _cells.read_cells(result.argument, result.path, backed=True)
    params = _params(before, key)
    with _cells.opened(cells.argument, cells.path) as adata:
        _check_same_cells(before, adata)
        tl.fit_model(adata, params["batch_key"], mode=params["mode"], key_added=key, **_arguments(params["call"]))
    if params["version"] != __version__:
        print(f"made by scfcmi {params['version']}, repeated by scfcmi {__version__}")
    labels = adata.obs[key].astype(str)
    if not adata.obs_names.equals(before.obs_names):
        labels = labels.loc[before.obs_names]
    return _compare(before.obs[key].astype(str).to_numpy(), labels.to_numpy())


def _params(before: AnnData, key: str) -> dict[str, Any]:
    """Return what is stored of the call."""
    from scfcmi import _validate

    hint = "Name the result with --key-added."
    _validate.key_in(before.uns.keys(), key, "uns of OUT.h5ad", hint=hint)
    _validate.key_in(before.obs.columns, key, "obs of OUT.h5ad", hint=hint)
    stored = before.uns[key]
    params = stored.get("params", {}) if hasattr(stored, "get") else {}
    if "assigned" in params:
        msg = f"{key!r} was assigned by a saved model, not clustered. Run scfcmi assign with that model, and compare."
        raise ValueError(msg)
    missing = [name for name in ("batch_key", "mode", "version", "call") if name not in params]
    if missing:
        msg = f"uns[{key!r}]['params'] of OUT.h5ad has no {missing}. Cluster once more with this version of scfcmi."
        raise ValueError(msg)
    return params


def _arguments(call: str) -> dict[str, Any]:
    arguments = json.loads(call)
    unknown = [name for name, value in arguments.items() if value is None]
    if unknown:
        msg = (
            f"The result does not keep the values of {unknown}: they were neither numbers nor names. "
            "Repeat the call in Python, or pass mask_var by the name of a column."
        )
        raise ValueError(msg)
    return arguments


def _check_same_cells(before: AnnData, adata: AnnData) -> None:
    ours, theirs = adata.obs_names, before.obs_names
    if ours.equals(theirs) or (ours.is_unique and theirs.is_unique and ours.sort_values().equals(theirs.sort_values())):
        return
    others = len(theirs.difference(ours))
    msg = (
        f"IN.h5ad and OUT.h5ad hold different cells: {len(ours)} and {len(theirs)}; {others} are in OUT.h5ad only. "
        "Cells are matched by obs_names. Give the file that was clustered."
    )
    raise ValueError(msg)


def _compare(before: Any, now: Any) -> int:
    from scfcmi import metrics
    from scfcmi.cli import FAILURE, OK

    n_others = int((before != now).sum())
    if n_others == 0:
        print(f"identical: {len(now)} of {len(now)} cells have the same cluster")
        return OK
    if len(set(zip(before, now, strict=True))) == len(set(before)) == len(set(now)):
        print(f"identical but for names: the same {len(now)} cells are together")
        return OK
    print(f"different: ARI {metrics.ari(before, now):.4f}; {n_others} of {len(now)} cells have another cluster")
    return FAILURE
