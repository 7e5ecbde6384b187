from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest

from scfcmi import datasets
from scfcmi.datasets._manifest import NAMES, parse, read_manifest

ROOT = Path(__file__).parents[2]
# The only files of which no checksum is known.
UNCHECKED = {"human_dc/sample_sm_uc3.txt.gz", "office31/features.npz", "mtfl/features.npz"}


def test_there_is_one_for_each_loader_and_it_ships():
    assert {path.stem for path in (ROOT / "data_manifests").glob("*")} == set(NAMES)
    assert set(datasets.__all__) == set(NAMES) | {"simulate_atlas"} == set(dir(datasets))
    for name in datasets.__all__:
        assert getattr(datasets, name).__name__ == name
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"data_manifests": "scfcmi/datasets/manifests"}
    with pytest.raises(AttributeError, match="datasets attribute mnsit"):
        _ = datasets.mnsit


@pytest.mark.parametrize("name", NAMES)
def test_schema(name):
    manifest = read_manifest(name)
    assert manifest.version >= 1
    assert manifest.citation
    assert all((manifest.title, manifest.license, manifest.terms, manifest.by_hand))
    for file in manifest.files:
        assert file.path.split("/")[0] in {name, "mnist", "usps"}
        assert all(url.startswith("https://") for url in file.urls)
        assert file.urls or file.path.rpartition("/")[2] in manifest.by_hand or file.count
        known = file.checksum or file.payload or file.members or file.count
        assert known or file.path in UNCHECKED
    for files in manifest.parts().values():
        assert sum(file.variant is None for file in files) >= 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("mnsit", "'mnist_usps'"),
        ("pancrees", "'pancreas'"),
        ("atlas", "'mouse_atlas'"),
        ("HAR", None),
        ("../har", None),
    ],
)
def test_unknown_name(wrong, words):
    guess = f"Did you mean {words}" if words else "Available: "
    with pytest.raises(ValueError, match=rf"Unknown dataset '{wrong}'\. .*{guess}|Unknown dataset '{wrong}'\. {guess}"):
        read_manifest(wrong)


def change(table: dict, *path: str | int, value: object) -> dict:
    *parents, key = path
    for parent in parents:
        table = table[parent]
    if value is None:
        del table[key]
    else:
        table[key] = value
    return table


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("terms",), None, "lacks 'terms'"),
        (("mirror",), "x", "has an unknown field 'mirror'"),
        (("version",), "1", "'version' must be of type int, got '1'"),
        (("version",), True, "'version' must be of type int"),
        (("name",), "mnist", "is named 'mnist'"),
        (("expected", "samples"), 5, "do not add up to 5 samples"),
        (("expected", "groups", "MNIST"), 60001, "do not add up"),
        (("expected", "labels", "3"), [6130, 659], "counts of labels do not add up to those of groups"),
        (("files", 0, "path"), "../etc/passwd", "leaves the data folder"),
        (("files", 0, "path"), "/etc/passwd", "leaves the data folder"),
        (("files", 0, "path"), "mnist\\x.gz", "leaves the data folder"),
        (("files", 0, "urls"), ["ftp://x"], "are not all http"),
        (("files", 0, "checksum"), "md5:1234", "checksum 'md5:1234' is malformed"),
        (("files", 0, "checksum"), "crc:1234", "checksum 'crc:1234' is malformed"),
        (("files", 0, "payload"), "git_blob:" + "0" * 40, "a payload's size"),
        (("files", 0, "part"), None, "lacks 'part'"),
        (("files", 0, "members"), {"x.txt": "md5:1234"}, "checksum 'md5:1234' is malformed"),
    ],
)
def test_malformed_manifest(path, value, words):
    table = copy.deepcopy(tomllib.loads((ROOT / "data_manifests" / "mnist_usps.toml").read_text()))
    change(table, *path, value=value)
    with pytest.raises(ValueError, match=words):
        parse(table, "mnist_usps")


@pytest.mark.parametrize(
    ("name", "shape", "batches", "labels"),
    [
        ("pbmc_3tech", (1200, 1767), [480, 430, 290], 9),
        ("kang_ctrl_8donors", (12261, 1287), [2738, 2108, 2030, 1879, 1723, 858, 517, 408], 8),
        ("human_dc", (576, 859), [288, 288], 4),
        ("rnamix_2protocol", (636, 13906), [340, 296], 7),
    ],
)
def test_single_cell_files_of_the_tests(data_dir, name, shape, batches, labels):
    import anndata as ad

    adata = ad.read_h5ad(data_dir / "singlecell" / f"{name}.h5ad")
    assert adata.shape == shape
    assert sorted(adata.obs["batch"].value_counts(), reverse=True) == batches
    assert adata.obs["label"].nunique() == labels
    if name == "human_dc":
        # The same cells as Tran's data set 1, of which the manifest has the counts.
        assert adata.obs["label"].value_counts().to_dict() == read_manifest("human_dc").expected.labels
