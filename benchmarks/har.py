"""FCMI on HAR: the five metrics beside the paper's, and their course over epochs.

    python benchmarks/har.py --seeds 0 1 2 --decoder shared -o benchmarks/results/har.jsonl

Reads ``har/har561.npz`` from the folder named by SCFCMI_DATA_DIR (features recomputed from the raw signals). One JSON
line a seed is appended as it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from scfcmi import FCMI, __version__, metrics

PAPER = {"accuracy": 0.882, "nmi": 0.807, "balance": 0.407, "mnce": 0.993, "f_beta": 0.890}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--decoder", choices=("shared", "branches"), default="shared")
    parser.add_argument("--plug-in", action="store_true", help="no chance correction of I(G;C): the authors' code")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--every", type=int, default=10, help="epochs between points of the curve")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()

    data = np.load(Path(os.environ["SCFCMI_DATA_DIR"]) / "har" / "har561.npz")
    X, labels, groups = data["X"], data["activity"], data["subject"]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        curve = []

        def measure(epoch, curve=curve):
            # The labels enter nothing but this curve.
            if epoch.number % options.every == 0:
                scores = metrics.evaluate(labels, epoch.labels, groups)
                curve.append({"epoch": epoch.number} | scores.round(4).to_dict())

        model = FCMI(
            6,
            decoder=options.decoder,
            chance_correction=not options.plug_in,
            max_epochs=options.epochs,
            learning_rate=options.learning_rate,
            precision=options.precision,
            random_state=seed,
            callbacks=[measure],
        )
        start = time.perf_counter()
        model.fit(X, groups=groups)
        seconds = time.perf_counter() - start
        scores = metrics.evaluate(labels, model.labels_, groups)
        record = {
            "dataset": "HAR (features recomputed)",
            "decoder": options.decoder,
            "chance_correction": not options.plug_in,
            "learning_rate": options.learning_rate,
            "epochs": options.epochs,
            "seed": seed,
            "precision": model.precision_,
            "seconds": round(seconds, 1),
            **scores.round(5).to_dict(),
            **{k: round(v, 5) for k, v in model.history_.iloc[-1][["L_rec", "I_X_C_given_G", "I_G_C"]].items()},
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "version": __version__,
            "curve": curve,
        }
        with options.output.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(f"seed {seed}: " + ", ".join(f"{k} {100 * scores[k]:.1f} ({100 * v:.1f})" for k, v in PAPER.items()))


if __name__ == "__main__":
    main()
