from __future__ import annotations

import sys
import types
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image

from scfcmi import datasets
from scfcmi.datasets import _features
from scfcmi.datasets._features import Backbone, squash
from scfcmi.datasets._images import read_annotation
from scfcmi.datasets._manifest import read_manifest
from scfcmi.errors import DatasetUnavailableError

LABELS = list(read_manifest("office31").expected.labels)
pytestmark = pytest.mark.filterwarnings("ignore:.*Results will not compare with published ones:UserWarning")


class Random(torch.nn.Module):
    """A network of random weights, in the place of a ResNet-50."""

    def __init__(self):
        super().__init__()
        self.seen = []
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(3, 2048, generator=generator)

    def forward(self, images):
        assert images.shape[1:] == (3, 224, 224)
        assert not self.training
        self.seen.append(len(images))
        return images.mean(dim=(2, 3)) @ self.weight


@pytest.fixture
def network(monkeypatch):
    network = Random()
    monkeypatch.setattr(_features, "resnet50", lambda *_, **__: Backbone("random-0123abcd", network))
    return network


def draw_image(path, shade: int, size=(40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 255 - shade, 0)).save(path)


@pytest.fixture
def office(tmp_path):
    for domain, n in (("amazon", 3), ("webcam", 2)):
        for i, label in enumerate(LABELS[:4]):
            for j in range(n):
                draw_image(tmp_path / "office31" / domain / "images" / label / f"frame_{j:04}.jpg", 60 * i + j)
    return tmp_path


def test_office31(office, network):
    with pytest.warns(UserWarning, match="has 12 images instead of 2817"):
        adata = datasets.office31(data_dir=office)
    assert adata.shape == (20, 2048)
    assert adata.X.dtype == np.float32
    assert np.abs(adata.X).max() <= 1
    assert adata.obs["label"].tolist()[:4] == [LABELS[0]] * 3 + [LABELS[1]]
    assert adata.obs["group"].value_counts().to_dict() == {"amazon": 12, "webcam": 8}
    assert adata.obs["domain"].equals(adata.obs["group"].rename("domain"))
    assert adata.obs_names[0] == "amazon/back_pack/frame_0000.jpg"

    # Computed once, kept beside the images under the weights' identity.
    kept = [path.name for path in (office / "office31").glob("*.npy")]
    assert len(kept) == 1
    assert kept[0].startswith("features-random-0123abcd-")
    n_batches = len(network.seen)
    assert np.array_equal(datasets.office31(data_dir=office).X, adata.X)
    assert len(network.seen) == n_batches
    # Another image, other features.
    draw_image(office / "office31" / "webcam" / "images" / LABELS[5] / "x.png", 9)
    assert datasets.office31(data_dir=office).n_obs == 21
    assert len(network.seen) > n_batches
    assert datasets.office31(data_dir=office, subset=5).n_obs == 5


def test_office31_of_unknown_classes(office, network):
    draw_image(office / "office31" / "amazon" / "images" / "teapot" / "x.jpg", 9)
    with pytest.raises(ValueError, match=r"\['teapot'\] not among"):
        datasets.office31(data_dir=office)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (224, 224), (256, 256), (1000, 300), (1, 7)])
def test_pixels(tmp_path, size):
    draw_image(tmp_path / "x.png", 255, size)
    pixels = _features._pixels(tmp_path / "x.png")
    assert pixels.shape == (3, 224, 224)
    assert pixels.dtype == np.float32
    assert np.allclose(pixels.mean(axis=(1, 2)), (np.array([1, 0, 0]) - _features._MEAN) / _features._STD, atol=2e-3)


def test_squash():
    features = np.random.default_rng(0).gamma(1, size=(50, 4))
    features[:, 2] = 7
    squashed = squash(features)
    assert np.allclose(squashed[:, 2], 0)
    back = np.arctanh(squashed[:, [0, 1, 3]])
    assert np.allclose(back.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(back.std(axis=0), 1, atol=1e-5)


def face(i: int, gender: int, glasses: int) -> str:
    """A line as published: backslashes, landmarks, gender, smile, glasses, pose."""
    return f" lfw_5590\\face_{i % 6}.jpg {' '.join(['102.25'] * 10)} {gender} 1 {glasses} 3"


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "mtfl"
    for i in range(6):
        draw_image(folder / "lfw_5590" / f"face_{i}.jpg", 40 * i)
    kinds = [(gender, glasses) for gender in (1, 2) for glasses in (1, 2)]
    lines = [face(i, *kinds[i % 4]) for i in range(3000)]
    (folder / "training.txt").write_text("\r\n".join(lines[:2000]) + "\r\n \r\n", newline="")
    (folder / "testing.txt").write_text("\n".join(lines[2000:]) + "\n")
    return tmp_path


def test_mtfl(faces, network):
    adata = datasets.mtfl(data_dir=faces, subset=200)
    assert adata.shape == (200, 2048)
    table = adata.obs.value_counts(["label", "group"]).to_dict()
    assert abs(table["female", "glasses"] - 34.6) < 1
    assert abs(table["male", "no glasses"] - 65.4) < 1
    assert adata.obs["gender"].equals(adata.obs["label"].rename("gender"))
    assert adata.obs["glasses"].equals(adata.obs["group"].rename("glasses"))
    assert adata.obs_names.is_unique
    assert datasets.mtfl(data_dir=faces, subset=200).obs_names.equals(adata.obs_names)

    (faces / "mtfl" / "lfw_5590" / "face_3.jpg").unlink()
    with pytest.raises(
        DatasetUnavailableError, match=r"images are missing, such as .*face_3.jpg. By hand: Download MTFL"
    ):
        datasets.mtfl(data_dir=faces)
    (faces / "mtfl" / "testing.txt").write_text(face(0, 1, 1) + "\n")
    with pytest.raises(ValueError, match="501 faces are annotated as male, glasses; the benchmark has 654"):
        datasets.mtfl(data_dir=faces)


def test_the_whole_draw(faces):
    from scfcmi.datasets._images import _drawn

    annotated = read_annotation(faces / "mtfl" / "training.txt")
    annotated = annotated.loc[annotated.index.repeat(2)].reset_index(drop=True)
    rows = _drawn(annotated, read_manifest("mtfl"))
    assert len(set(rows)) == 2000
    assert annotated.iloc[rows].value_counts(["label", "group"]).tolist() == [654, 654, 346, 346]


@pytest.mark.parametrize(
    "line",
    [
        face(0, 3, 1),
        face(0, 1, 0),
        "x.jpg 1 2 3",
        face(0, 1, 1).replace("lfw_5590", ".."),
        face(0, 1, 1).replace(" lfw", " \\lfw"),
    ],
)
def test_annotation_of_another_form(tmp_path, line):
    (tmp_path / "x.txt").write_text(face(0, 1, 1) + "\n" + line + "\n")
    with pytest.raises(ValueError, match="line 2: a path, ten coordinates"):
        read_annotation(tmp_path / "x.txt")


def test_features_of_the_user(tmp_path):
    (tmp_path / "mtfl").mkdir()
    path = tmp_path / "mtfl" / "features.npz"
    rng = np.random.default_rng(0)
    labels, groups = np.array(["male", "female"] * 5), np.array(["glasses", "no glasses"]).repeat(5)
    np.savez(path, features=rng.normal(size=(10, 2048)), label=labels, group=groups)
    with pytest.warns(UserWarning, match=r"features.npz has 10 samples instead of 2000; .* Results will not compare"):
        adata = datasets.mtfl(data_dir=tmp_path)
    assert adata.shape == (10, 2048)
    assert adata.uns["dataset"]["variant"] == "features of the user"
    np.savez(path, features=rng.normal(size=(10, 2048)), label=labels)
    with pytest.raises(ValueError, match=r"lacks the arrays \['group'\]"):
        datasets.mtfl(data_dir=tmp_path)
    np.savez(path, features=rng.normal(size=(9, 2048)), label=labels, group=groups)
    with pytest.raises(ValueError, match=r"features must be finite numbers.*of shape \(9, 2048\)"):
        datasets.mtfl(data_dir=tmp_path)


def test_without_the_extra(office, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(DatasetUnavailableError, match=r"pip install 'scfcmi\[images\]'. Or place features.npz in"):
        datasets.office31(data_dir=office)


def test_without_the_weights(office, monkeypatch, tmp_path):
    def build(weights):
        raise urllib.error.URLError("no route")

    one = types.SimpleNamespace(url="https://download.pytorch.org/models/resnet50-0676ba61.pth")
    models = types.ModuleType("torchvision.models")
    models.ResNet50_Weights, models.resnet50 = types.SimpleNamespace(IMAGENET1K_V1=one), build
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        DatasetUnavailableError, match=r"not here. Call with download=True, or place https.* Or place feat"
    ):
        datasets.office31(data_dir=office, download=False)
    with pytest.raises(DatasetUnavailableError, match=r"cannot be had \(.*no route.*resnet50-0676ba61.pth"):
        datasets.office31(data_dir=office)

    def random(weights):
        network = Random()
        network.fc = torch.nn.Linear(2048, 1000)
        return network

    models.resnet50 = random
    assert datasets.office31(data_dir=office).n_vars == 2048
    assert len(list((office / "office31").glob("features-resnet50-0676ba61-*.npy"))) == 1
