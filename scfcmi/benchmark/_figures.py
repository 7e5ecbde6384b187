"""Table 2 and Figures 3 to 6 of the paper, on any data set: first their numbers, then the drawing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scfcmi import pl
from scfcmi.benchmark._data import load
from scfcmi.benchmark._methods import fcmi_parameters
from scfcmi.benchmark._plot_reconstructions import plot_reconstructions
from scfcmi.benchmark._plot_sensitivity import plot_sensitivity
from scfcmi.benchmark._record import DONE, Job, dataset_name, read_runs
from scfcmi.benchmark._runner import run
from scfcmi.models import FCMI
from scfcmi.pl._palette import palette

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from scfcmi.benchmark._data import Data
    from scfcmi.models.callbacks import Epoch

# The variants of Table 2 and Fig. 6, and the methods that they are. Both weights are written out, since the paper has no
# beta on some data.
VARIANTS = {
    "L_clu and L_fair": "fcmi:alpha=0.04,beta=0.2",
    "L_clu": "fcmi:alpha=0.04,beta=0",
    "L_fair": "fcmi:alpha=0,beta=0.2",
    "neither": "fcmi:alpha=0,beta=0",
}
ALPHAS = (0.01, 0.02, 0.04, 0.08, 0.16)
BETAS = (0.05, 0.10, 0.20, 0.40, 0.80)

_N_SHOWN = 10
# More names than this have no legend: their colors would not be told apart.
_MOST_NAMED = 12
_SIZE = 3.0


class Setting(NamedTuple):
    """What a figure is made on, and where its runs are kept."""

    folder: Path
    dataset: str
    seed: int = 0
    epochs: int | None = None
    subset: int | None = None
    device: str = "auto"

    def job(self, method: str) -> Job:
        return Job(self.dataset, method, self.seed, self.epochs, self.subset)

    def make(self, methods: Sequence[str], say: Callable[[str], None]) -> dict[str, pd.Series]:
        """Make runs that are not there yet; return all by method. ``RuntimeError`` names those that failed."""
        run(
            self.folder,
            datasets=[self.dataset],
            methods=methods,
            seeds=[self.seed],
            epochs=self.epochs,
            subset=self.subset,
            device=self.device,
            say=say,
        )
        runs = read_runs(self.folder)
        part = runs["subset"].isna() if self.subset is None else runs["subset"] == self.subset
        length = runs["epochs"].isna() if self.epochs is None else runs["epochs"] == self.epochs
        chosen = runs[part & length & (runs["dataset"] == dataset_name(self.dataset)) & (runs["seed"] == self.seed)]
        done = {row["method"]: row for _, row in chosen[chosen["status"] == DONE].iterrows()}
        lacking = [method for method in methods if method not in done]
        if lacking:
            msg = f"no result of {lacking} on {self.dataset}; {str(self.folder / 'logs')!r} says why."
            raise RuntimeError(msg)
        return done


def ablation(setting: Setting, say: Callable[[str], None] = print) -> pd.DataFrame:
    """Return Table 2: the metrics, in percent, with L_clu, L_fair, both and neither of them."""
    runs = setting.make(list(VARIANTS.values()), say)
    columns = ["accuracy", "nmi", "balance", "mnce", "f_beta", "batch_leakage"]
    table = pd.DataFrame({name: runs[method][columns] for name, method in VARIANTS.items()}).T.astype(float) * 100
    return table.round(3)


def information(setting: Setting, say: Callable[[str], None] = print) -> pd.DataFrame:
    """Return the numbers of Fig. 6: ``I_X_C_given_G`` and ``I_G_C`` in nats, by ``variant`` and ``epoch``."""
    setting.make(list(VARIANTS.values()), say)
    histories = {
        name: pd.read_csv(setting.folder / "histories" / f"{setting.job(method).name}.csv", index_col="epoch")
        for name, method in VARIANTS.items()
    }
    return pd.concat(histories, names=["variant"])[["I_X_C_given_G", "I_G_C"]].reset_index()


def sensitivity(
    setting: Setting,
    alphas: Sequence[float] = ALPHAS,
    betas: Sequence[float] = BETAS,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Return the numbers of Fig. 5: metrics between 0 and 1 by ``alpha`` and ``beta``."""
    methods = {(a, b): f"fcmi:alpha={a:g},beta={b:g}" for a in alphas for b in betas}
    runs = setting.make(list(methods.values()), say)
    columns = ["accuracy", "nmi", "mnce", "f_beta"]
    return pd.DataFrame([{"alpha": a, "beta": b} | runs[m][columns].to_dict() for (a, b), m in methods.items()])


def maps(setting: Setting) -> pd.DataFrame:
    """Return the numbers of Fig. 3: UMAP ``x`` and ``y`` of all codes by ``epoch``, the first, end of warm-up, last."""
    import umap

    data = load(setting.dataset, setting.subset)
    model = FCMI(data.n_clusters, **_parameters(setting, data))
    wanted, found = {1, max(model.warmup_epochs, 1), model.max_epochs}, {}

    def keep(epoch: Epoch) -> None:
        if epoch.number in wanted:
            found[epoch.number] = epoch.codes()

    model.set_params(callbacks=[keep]).fit(data.matrix, groups=data.groups)
    parts = []
    for epoch, codes in found.items():
        neighbors = min(15, len(codes) - 1)
        place = umap.UMAP(n_neighbors=neighbors, random_state=setting.seed, n_jobs=1).fit_transform(codes)
        columns = {"epoch": epoch, "x": place[:, 0], "y": place[:, 1], "label": data.labels, "group": data.groups}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def reconstructions(setting: Setting) -> np.ndarray:
    """Return the images of Fig. 4: raw, decoded as their own group, and as the next one; shape (3, n, 28, 28).

    Samples of all groups take turns.

    Raises
    ------
    ValueError
        If the data set holds no images, or one group only.
    """
    data = load(setting.dataset, setting.subset)
    names = sorted(set(data.groups))
    if data.matrix.ndim != 4 or len(names) < 2:
        msg = f"figure 4 shows images of two or more groups; {setting.dataset} has none."
        raise ValueError(msg)
    model = FCMI(data.n_clusters, **_parameters(setting, data)).fit(data.matrix, groups=data.groups)
    # A group of few images shows them again.
    queues = [np.resize(np.flatnonzero(data.groups == name), _N_SHOWN) for name in names]
    rows = np.array([queues[i % len(names)][i // len(names)] for i in range(_N_SHOWN)])
    X, own = data.matrix[rows], data.groups[rows]
    other = np.array([names[(names.index(name) + 1) % len(names)] for name in own])
    return np.stack([X, model.reconstruct(X, own), model.reconstruct(X, other)])[:, :, 0]


def draw_information(table: pd.DataFrame) -> Figure:
    """Draw Fig. 6: one line a variant, one panel a term."""
    figure, axes = _panels(1, 2)
    runs = {name: rows.set_index("epoch") for name, rows in table.groupby("variant", sort=False)}
    pl.history(runs, ["I_X_C_given_G", "I_G_C"], ax=axes[0])
    return figure


def draw_sensitivity(table: pd.DataFrame) -> Figure:
    """Draw Fig. 5: alpha by beta, one panel a metric."""
    figure, axes = _panels(1, 2)
    plot_sensitivity(table, ax=axes[0])
    return figure


def draw_maps(table: pd.DataFrame) -> Figure:
    """Draw Fig. 3: epochs from left to right, colored by label above and by group below."""
    epochs = table["epoch"].unique()
    figure, axes = _panels(2, len(epochs))
    for line, color in zip(axes, ("label", "group"), strict=True):
        names = sorted(table[color].unique())
        shades = np.array(palette(len(names)))
        for ax, epoch in zip(line, epochs, strict=True):
            rows = table[table["epoch"] == epoch].sample(frac=1, random_state=0)
            colors = shades[np.searchsorted(names, rows[color])]
            ax.scatter(rows["x"], rows["y"], c=colors, s=max(0.3, 4000 / len(rows)), linewidths=0, rasterized=True)
            ax.set(title=f"epoch {epoch}, by {color}", xticks=[], yticks=[])
        if len(names) <= _MOST_NAMED:
            for name, shade in zip(names, shades, strict=True):
                line[-1].scatter([], [], color=shade, s=15, label=name)
            line[-1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, borderaxespad=0)
    return figure


def draw_reconstructions(images: np.ndarray) -> Figure:
    """Draw Fig. 4: raw images, decoded as their own group, and as another."""
    figure, axes = _panels(1, 1, width=images.shape[1] * 0.7, height=2.1)
    plot_reconstructions(images, ax=axes[0, 0])
    return figure


def make(number: int, setting: Setting, say: Callable[[str], None] = print) -> Path:
    """Make Fig. 3, 4, 5 or 6: numbers and picture go to ``figures`` in the folder. Return the path of the picture."""
    from scfcmi._files import replacing
    from scfcmi._shown import without_formulas

    numbers, draw = {
        3: (maps, draw_maps),
        4: (reconstructions, draw_reconstructions),
        5: (lambda s: sensitivity(s, say=say), draw_sensitivity),
        6: (lambda s: information(s, say), draw_information),
    }[number]
    for name in ("figures", "checkpoints"):
        (setting.folder / name).mkdir(parents=True, exist_ok=True)
    found = numbers(setting)
    picture = setting.folder / "figures" / f"figure{number}-{setting.job('fcmi').name}.png"
    if isinstance(found, pd.DataFrame):
        with replacing(picture.with_suffix(".csv")) as path:
            without_formulas(found).to_csv(path, index=False)
    else:
        with replacing(picture.with_suffix(".npy")) as path:
            np.save(path, found)
    with replacing(picture) as path:
        draw(found).savefig(path, dpi=200)
    return picture


def _parameters(setting: Setting, data: Data) -> dict[str, Any]:
    given = fcmi_parameters(data, setting.epochs)
    return given | {"random_state": setting.seed, "device": setting.device}


def _panels(rows: int, columns: int, width: float | None = None, height: float | None = None) -> tuple[Figure, Any]:
    # A figure of its own, outside pyplot: no window opens, and the user's backend stays as it is.
    from matplotlib.figure import Figure

    size = (columns * _SIZE * 1.3 if width is None else width, rows * _SIZE if height is None else height)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
