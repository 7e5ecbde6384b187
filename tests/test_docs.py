"""The examples of docs/in_code.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sklearn

PAGE = Path(__file__).parents[1] / "docs" / "in_code.md"


@pytest.mark.filterwarnings("ignore:.*changed cluster in the last epoch:UserWarning")
def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with sklearn.config_context():
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
            exec(block, names)
    assert set(names["model"].groups_) == set(names["batches"])
    assert len(names["clusters"]) == names["adata"].n_obs
    assert len(names["losses"]) == names["adata"].uns["fcmi"]["params"]["n_epochs"]
    assert {"fcmi", "finer", "again"} <= set(names["adata"].obs)
