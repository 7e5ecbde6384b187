"""Draw every plot on real data into one page, for people to look at: ``make gallery``.

Reads the data in SCFCMI_DATA_DIR and trains on a few of them, for some minutes. Runs of the benchmark are kept and not
repeated. Each picture stands below the call that drew it, at the size at which it is printed.
"""

from __future__ import annotations

import html
import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import scanpy as sc

import scfcmi
from scfcmi import benchmark, pl
from scfcmi.benchmark import _figures

FOLDER = Path(__file__).parent / "_build" / "gallery"

# Calls, and what to look at.
CALLS = {
    "umap": [
        ("pl.umap(pbmc, ['fcmi', 'batch', 'label'])", "three chemistries, 1,200 cells"),
        ("pl.umap(pbmc, split_by='batch')", "the same, a panel a batch"),
        ("pl.umap(pbmc, ['fcmi', 'LYZ'])", "a gene"),
        ("pl.umap(kang, 'label', split_by='batch')", "eight donors"),
        ("pl.umap(many, ['label', 'group'])", "simulated cells of thirty types in sixty batches"),
    ],
    "composition": [
        ("pl.composition(pbmc)", "three chemistries"),
        ("pl.composition(dc)", "two batches that share two of four types"),
        ("pl.composition(kang, kind='clusters')", "eight donors"),
        ("pl.composition(many, 'group', key='label')", "simulated cells of thirty types in sixty batches"),
    ],
    "confusion": [
        ("pl.confusion(pbmc, 'label')", "shares of labels"),
        ("pl.confusion(kang, 'label', normalize='cluster')", "shares of clusters"),
        ("pl.confusion(many, 'label')", "thirty types and clusters"),
    ],
    "confidence": [
        ("pl.confidence(pbmc)", "three chemistries"),
        ("pl.confidence(many)", "thirty clusters"),
    ],
    "history": [
        ("pl.history(pbmc)", "one training"),
        ("pl.history(variants, ['I_X_C_given_G', 'I_G_C'])", "Fig. 6 of the paper, on a thousand samples of HAR"),
    ],
    "n_clusters": [("pl.n_clusters(pbmc)", "what each resolution gives, three chemistries")],
    "plot_sensitivity": [("benchmark.plot_sensitivity(grid)", "Fig. 5 of the paper, on a thousand samples of HAR")],
    "plot_reconstructions": [
        ("benchmark.plot_reconstructions(images)", "Fig. 4 of the paper, on two thousand images and their inverse")
    ],
    "plot_table": [("benchmark.plot_table(results)", "two data sets; one has three batches")],
}


def cells() -> dict[str, sc.AnnData]:
    """Return clustered cells by the name that calls use."""
    folder = Path(os.environ["SCFCMI_DATA_DIR"]) / "singlecell"
    pbmc, dc, kang = (sc.read_h5ad(folder / f"{name}.h5ad") for name in ("pbmc_3tech", "human_dc", "kang_ctrl_8donors"))
    kang = sc.pp.sample(kang, n=3000, rng=0, copy=True)
    uneven = np.random.default_rng(0).gamma(1, size=(30, 60))
    # With fewer genes, thirty types in batches of this strength cannot be told apart.
    many = scfcmi.datasets.simulate_atlas(9000, 30, 60, n_genes=8000, composition=uneven, progress=False)
    for adata in (kang, many):
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    for adata, column in ((pbmc, "batch"), (dc, "batch"), (kang, "batch"), (many, "group")):
        n_clusters = adata.obs["label"].nunique()
        scfcmi.tl.fair_cluster(adata, column, n_clusters=n_clusters, progress=False)
        scfcmi.tl.umap(adata)
    scfcmi.tl.choose_n_clusters(pbmc)
    return {"pbmc": pbmc, "dc": dc, "kang": kang, "many": many}


def numbers() -> dict[str, object]:
    """Return what the paper's figures and table are drawn from."""
    har = _figures.Setting(FOLDER / "har", "har", epochs=20, subset=1000)
    digits = _figures.Setting(FOLDER / "digits", "reverse_mnist", epochs=10, subset=2000)
    for setting in (har, digits):
        (setting.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    information = _figures.information(har).set_index("epoch").groupby("variant", sort=False)
    folder = Path(os.environ["SCFCMI_DATA_DIR"]) / "singlecell"
    methods = ["kmeans", "pca_kmeans", "harmony_kmeans", "scfc", "fcmi-default"]
    benchmark.run(
        FOLDER / "table",
        datasets=[str(folder / f"{name}.h5ad") for name in ("human_dc", "pbmc_3tech")],
        methods=methods,
        seeds=range(2),
    )
    benchmark.write_report(benchmark.read_runs(FOLDER / "table"), FOLDER / "table")
    return {
        "variants": dict(list(information)),
        "grid": _figures.sensitivity(har, (0.01, 0.04, 0.16), (0.05, 0.2, 0.8)),
        "images": _figures.reconstructions(digits),
        "results": FOLDER / "table",
    }


def page(calls: dict[str, list[tuple[str, str]]], names: dict[str, object]) -> str:
    """Draw all calls; return the page that shows them."""
    parts = []
    for plot, examples in calls.items():
        parts.append(f"<h2>{plot}</h2>")
        for i, (call, words) in enumerate(examples):
            print(call, flush=True)
            figure = eval(f"{call[:-1]}, return_fig=True)", {"benchmark": benchmark, "pl": pl}, names)
            file = f"{plot}-{i}.png"
            figure.savefig(FOLDER / file, dpi=200)
            width = figure.get_size_inches()[0]
            parts.append(
                f"<p>{html.escape(words)}</p><pre>{html.escape(call)}</pre>"
                f'<img src="{file}" alt="{html.escape(words)}" style="width:{width:.2f}in">'
            )
            mpl.pyplot.close(figure)
    style = "body{font-family:sans-serif;margin:2em}pre{color:#555}img{max-width:100%;border:1px solid #ddd}"
    parts.append('<h2>report</h2><p>three chemistries, as a page: <a href="report.html">report.html</a></p>')
    return f"<!doctype html><meta charset=utf-8><title>scfcmi.pl</title><style>{style}</style>" + "\n".join(parts)


if __name__ == "__main__":
    mpl.use("agg")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "index.html"
    names = cells() | numbers()
    path.write_text(page(CALLS, names))
    scfcmi.tl.diagnose(names["pbmc"])
    pl.report(names["pbmc"], FOLDER / "report.html", label_key="label")
    print(path)
