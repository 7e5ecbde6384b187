"""What docs/with_other_tools.md shows works, with the tools themselves where they are installed.

``make ecosystem`` installs them, and runs this file.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

import scfcmi
from scfcmi import cli

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / "docs" / "workflows"


def installed(command: str) -> str:
    """Return the path of a command, or skip the test."""
    found = shutil.which(command)
    if found is None:
        pytest.skip(f"{command} is not installed")
    return found


def imported(module: str):
    """Return a module, or skip the test. One that is installed and broken fails."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    return importlib.import_module(module)


def run(*words: object) -> str:
    """Run a command that finds this package's own command first; return what it prints."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        [str(word) for word in words], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def samples(small, tmp_path, monkeypatch):
    """A folder with two files of cells, one with a space in its name."""
    monkeypatch.chdir(tmp_path)
    Path("samples").mkdir()
    small.write_h5ad("samples/first.h5ad")
    small.write_h5ad("samples/the second.h5ad")


def test_snakemake(samples):
    snakemake = installed("snakemake")
    words = (snakemake, "--cores", 1, "--snakefile", WORKFLOWS / "Snakefile", "--config", "batch_key=tech")
    run(*words)
    for name in ("first", "the second"):
        assert {path.suffix for path in Path("results").glob(f"{name}.*")} == {".h5ad", ".fcmi", ".html", ".log"}
    assert "Nothing to be done" in run(*words)


def test_nextflow(samples):
    nextflow = installed("nextflow")
    Path("samples/the second.h5ad").rename("samples/second.h5ad")
    run(nextflow, "run", WORKFLOWS / "main.nf", "--batch_key", "tech")
    for name in ("first", "second"):
        assert {path.name.removeprefix(name) for path in Path("results").glob(f"{name}.*")} == {
            ".clustered.h5ad",
            ".clustered.html",
            ".fcmi",
        }


def test_commands_in_the_nextflow_file(samples, capsys):
    """Each process, with the values that Nextflow would put in, writes the files that it promises."""
    text = (WORKFLOWS / "main.nf").read_text()
    values = {
        "cells": "samples/first.h5ad",
        "cells.baseName": "first",
        "clustered": "first.clustered.h5ad",
        "clustered.baseName": "first.clustered",
        "batch_key": "tech",
        "task.cpus": "2",
        "task.memory.toMega()": "4096",
    }
    processes = re.findall(r"^process \w+ \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    assert len(processes) == 2
    for process in processes:
        filled = re.sub(r"\$\{(.+?)\}", lambda found: values[found[1]], process)
        script = re.search(r'"""\n(.*?)"""', filled, re.DOTALL)[1].replace("\\\\\n", "")
        for line in script.splitlines():
            command, *words = shlex.split(line) or [""]
            assert command in ("scfcmi", "export", "")
            if command == "scfcmi":
                assert cli.main(words) == cli.OK, capsys.readouterr().err
        promised = re.findall(r'^ +path "(.+?)"', filled, re.MULTILINE)
        assert promised
        assert all(Path(name).exists() for name in promised)


# Slurm keeps a copy of the script, which is removed once sbatch has ended.
SBATCH = """#!/bin/sh
cp "$1" "$1.kept"
setsid sh "$1.kept" > "$1.log" 2>&1 &
echo "$!" >> jobs
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
kill -- "-$1"
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_slurm(cells, fake_command):
    """The script of docs/scaling.md, on a Slurm that runs each job at once, on this machine."""
    imported("dask_jobqueue")
    cells.write_zarr("in.zarr")
    fake_command("sbatch", SBATCH)
    fake_command("scancel", SCANCEL)
    script = (ROOT / "docs" / "slurm.py").read_text()
    assert "jobs=16" in script
    Path("cluster.py").write_text(script.replace("jobs=16", "jobs=2"))
    run(sys.executable, "cluster.py")
    found, expected = ad.read_h5ad("results.h5ad"), scfcmi.tl.fair_cluster(cells, batch_key="tech", copy=True)
    assert (found.obs["fcmi"] == expected.obs["fcmi"]).all()
    np.testing.assert_array_equal(found.obsm["X_fcmi"], expected.obsm["X_fcmi"])
    assert len(Path("jobs").read_text().split()) == 2


def examples(heading: str) -> str:
    """Return the Python of a section of the page."""
    section = (ROOT / "docs" / "with_other_tools.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


@pytest.fixture
def fake_command(tmp_path, monkeypatch):
    """Put a shell script under the name of a command that this machine lacks."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(name: str, script: str) -> None:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def cells(small, tmp_path, monkeypatch):
    """Cells with names of genes and labels, and a folder to write to."""
    monkeypatch.chdir(tmp_path)
    small.var_names = [f"gene{i}" for i in range(small.n_vars)]
    small.obs["tech"] = small.obs["tech"].cat.remove_unused_categories()
    small.obs["cell_type"] = small.obs["label"]
    return small


@pytest.mark.filterwarnings("default")
def test_mudata(cells):
    mudata = imported("mudata")
    tech = cells.obs.pop("tech")
    mdata = mudata.MuData({"rna": cells, "protein": cells[:, :3].copy()})
    mdata.obs["tech"] = tech
    exec(examples("I have a MuData"), {"scfcmi": scfcmi, "mdata": mdata})
    assert mdata["rna"].obs["fcmi"].nunique() > 1
    assert (mdata.obs["rna:fcmi"].astype(str) == mdata["rna"].obs["fcmi"].astype(str)).all()
    mdata.write("cells.h5mu")
    again = mudata.read("cells.h5mu")["rna"]
    assert {"X_fcmi", "fcmi_proba"} <= set(again.obsm)
    assert again.uns["fcmi"]["params"]["batch_key"] == "tech"


@pytest.mark.filterwarnings("default")
def test_spatialdata(cells):
    spatialdata = imported("spatialdata")
    sdata = spatialdata.SpatialData(tables={"table": spatialdata.models.TableModel.parse(cells)})
    exec(examples("I have a SpatialData object"), {"scfcmi": scfcmi, "sdata": sdata})
    table = spatialdata.read_zarr("clustered.zarr").tables["table"]
    assert table.obs["fcmi"].nunique() > 1
    assert "X_fcmi" in table.obsm
    assert "fcmi_connectivities" in table.obsp


@pytest.mark.filterwarnings("default")
def test_scib_metrics(cells):
    imported("scib_metrics")
    names = {"scfcmi": scfcmi, "sc": sc, "adata": cells}
    exec(examples("I want to compare embeddings with scib-metrics"), names)
    scores = names["scores"].loc[["X_pca", "X_fcmi"], ["Batch correction", "Bio conservation", "Total"]].astype(float)
    assert scores.notna().all(axis=None)
    # Shifted batches: the embedding must have less of the shift than components have.
    assert scores.loc["X_fcmi", "Total"] > scores.loc["X_pca", "Total"]


# Of human genes that every release has. What the schema asks beside them is of nobody's cells.
GENES = (
    *("ENSG00000090382", "ENSG00000101439", "ENSG00000105369", "ENSG00000105374", "ENSG00000115523"),
    *("ENSG00000126353", "ENSG00000143546", "ENSG00000153563", "ENSG00000156738", "ENSG00000163220"),
    *("ENSG00000163736", "ENSG00000163737", "ENSG00000167286", "ENSG00000168685", "ENSG00000170458"),
    *("ENSG00000172116", "ENSG00000179639", "ENSG00000198851", "ENSG00000203747", "ENSG00000007312"),
)
SCHEMA = {
    "assay_ontology_term_id": "EFO:0009922",
    "cell_type_ontology_term_id": "CL:0000084",
    "development_stage_ontology_term_id": "unknown",
    "disease_ontology_term_id": "PATO:0000461",
    "donor_id": "donor",
    "self_reported_ethnicity_ontology_term_id": "unknown",
    "sex_ontology_term_id": "unknown",
    "suspension_type": "cell",
    "tissue_ontology_term_id": "UBERON:0000178",
    "tissue_type": "tissue",
}


@pytest.fixture
def published(small, tmp_path, monkeypatch):
    """Cells as CELLxGENE asks for, clustered by the example of the page."""
    monkeypatch.chdir(tmp_path)
    counts = np.rint(small.X).astype(np.float32)
    normalized = sp.csr_matrix(np.log1p(counts.toarray()))
    obs = small.obs[["tech"]].assign(tech=small.obs["tech"].cat.remove_unused_categories(), is_primary_data=True)
    for column, value in SCHEMA.items():
        obs[column] = pd.Categorical([value] * len(obs))
    var = pd.DataFrame({"feature_is_filtered": False}, index=list(GENES))
    uns = {"title": "cells", "organism_ontology_term_id": "NCBITaxon:9606"}
    adata = ad.AnnData(normalized, obs=obs, var=var, uns=uns)
    adata.raw = ad.AnnData(counts, var=var[[]])
    exec(examples("I want to publish on CELLxGENE"), {"scfcmi": scfcmi, "adata": adata})
    scfcmi.pl.umap(adata, ["fcmi", "tech"], show=False)
    scfcmi.tl.diagnose(adata)
    scfcmi.tl.choose_n_clusters(adata)
    adata.write_h5ad("for_cellxgene.h5ad")
    return adata


def test_cellxgene_schema(published):
    said = run(installed("cellxgene-schema"), "validate", "for_cellxgene.h5ad")
    assert "is_valid=True" in said
    assert {line for line in said.splitlines() if "WARNING: Embedding" in line} == {
        line for line in said.splitlines() if "fcmi_proba" in line
    }


def test_what_cellxgene_asks_of_our_keys(published):
    """The rules of its validator for what we add, for machines without it."""
    adata = ad.read_h5ad("for_cellxgene.h5ad")
    for key, values in adata.obsm.items():
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]*", key.removeprefix("X_"))
        assert isinstance(values, np.ndarray)
        assert np.issubdtype(values.dtype, np.floating)
        assert np.isfinite(values).all()
        assert values.shape[1] >= 2
    assert adata.uns["default_embedding"] in adata.obsm
    assert {type(name) for name in adata.obs["fcmi"].cat.categories} == {str}
    assert all(len(value) for value in adata.uns.values())
    for key in (key for key in adata.uns if key.endswith("_colors")):
        assert len(adata.uns[key]) >= adata.obs[key.removesuffix("_colors")].nunique()
        assert all(re.fullmatch("#[0-9a-fA-F]{6}", color) for color in adata.uns[key])


@pytest.mark.parametrize("inferred", [False, True])
def test_r_can_read_what_the_command_adds(cells, inferred):
    """Only encodings that anndataR and zellkonverter read, with the text of pandas 3 as well (``infer_string``)."""
    cells.write_h5ad("in.h5ad")
    with pd.option_context("future.infer_string", inferred):
        assert cli.main(["cluster", "in.h5ad", "--batch-key", "tech", "-o", "out.h5ad"]) == cli.OK
    found = {}
    with h5py.File("out.h5ad") as root:
        root.visititems(lambda name, element: found.update({name: element.attrs.get("encoding-type")}))
    ours = {name: encoding for name, encoding in found.items() if "fcmi" in name}
    assert ours["obs/fcmi"] == "categorical"
    assert set(ours.values()) <= {
        *("array", "categorical", "csr_matrix", "dataframe", "dict", "numeric-scalar", "string", "string-array", None)
    }


def test_r_reads_the_clusters(cells):
    """With rhdf5, which R packages of h5ad files build on."""
    rscript = installed("Rscript")
    if "TRUE" not in run(rscript, "-e", 'cat(requireNamespace("rhdf5", quietly = TRUE))'):
        pytest.skip("rhdf5 is not installed")
    cells.write_h5ad("in.h5ad")
    assert cli.main(["cluster", "in.h5ad", "--batch-key", "tech", "-o", "out.h5ad"]) == cli.OK
    code = 'x <- rhdf5::h5read("out.h5ad", "obs/fcmi"); cat(x$categories[x$codes + 1])'
    clusters = run(rscript, "-e", code).split()
    assert clusters == ad.read_h5ad("out.h5ad").obs["fcmi"].tolist()
