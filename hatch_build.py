"""What the package index shows: README.md with links that work there, and the addresses of the project.

SCFCMI_REPOSITORY names the repository, which is known when a release is built. Without it README.md stays as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class IndexPage(MetadataHookInterface):
    """Fills in ``readme`` and ``urls`` of the metadata."""

    def update(self, metadata: dict) -> None:
        """Set both fields."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        urls = {}
        if repository := os.environ.get("SCFCMI_REPOSITORY", "").rstrip("/"):
            version = metadata["version"]
            tag = "main" if "dev" in version else f"v{version}"
            pages = f"{repository}/blob/{tag}"
            text = re.sub(r"(!\[[^]]*\])\((?!https?:)", rf"\1({repository}/raw/{tag}/", text)
            text = re.sub(r"(\[[^]]*\])\((?!https?:|#)", rf"\1({pages}/", text)
            urls = {
                "Source": repository,
                "Documentation": f"{pages}/docs/index.md",
                "Changelog": f"{pages}/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = urls
