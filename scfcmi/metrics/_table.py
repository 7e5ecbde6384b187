"""What metrics are called in tables."""

from __future__ import annotations

# Name, heading, and whether more is better; the paper has the first five.
METRICS = (
    ("accuracy", "ACC", True),
    ("nmi", "NMI", True),
    ("balance", "Bal", True),
    ("mnce", "MNCE", True),
    ("f_beta", "F_beta", True),
    ("ari", "ARI", True),
    ("batch_leakage", "leakage", False),
)
