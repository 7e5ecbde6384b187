"""Cluster an atlas on Slurm: python cluster.py, on a login node, with scfcmi[dask] and dask-jobqueue installed."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
from dask.distributed import Client
from dask_jobqueue.slurm import SLURMCluster

import scfcmi

if __name__ == "__main__":
    cluster = SLURMCluster(queue="normal", cores=1, processes=1, memory="4GB", walltime="01:00:00")
    cluster.scale(jobs=16)
    with Client(cluster) as client:
        client.wait_for_workers(1)
        # From the root, since workers have folders of their own.
        adata = ad.experimental.read_lazy(Path("in.zarr").absolute())
        scfcmi.tl.fair_cluster(adata, batch_key="tech")
    # Without expression, which stays in in.zarr.
    ad.AnnData(obs=adata.obs, obsm=dict(adata.obsm), uns=dict(adata.uns)).write_h5ad("results.h5ad")
