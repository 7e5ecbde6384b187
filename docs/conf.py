"""Settings of the documentation. ``make docs`` builds it, with warnings as errors, and checks its links."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path

import scfcmi

_here = Path(__file__).parent

project = "scfcmi"
author = "The scfcmi developers"
copyright = f"2026, {author}"  # Sphinx's name
version = release = scfcmi.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # brings the files of MathJax along, so that a page fetches nothing
    "sphinx_copybutton",
    "sphinxarg.ext",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

# Tutorials are executed by the tests and shown as they were committed. Sphinx reads one folder only, so they are copied; their
# links lead to the right place in the repository, and here. Pages with {code-cell} are executed when they are built.
(_here / "tutorials").mkdir(exist_ok=True)
for _path in (_here.parent / "tutorials").glob("*.ipynb"):
    (_here / "tutorials" / _path.name).write_text(_path.read_text().replace("](../docs/", "](../"))
    # The first picture, if there is one, is the thumbnail in tutorials.md.
    _outputs = [_output for _cell in json.loads(_path.read_text())["cells"] for _output in _cell.get("outputs", [])]
    _pictures = [_output["data"]["image/png"] for _output in _outputs if "image/png" in _output.get("data", {})]
    for _picture in _pictures[:1]:
        (_here / "tutorials" / f"{_path.stem}.png").write_bytes(b64decode("".join(_picture)))
nb_execution_mode = "force"
nb_execution_excludepatterns = ["tutorials/*"]
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
# For the kernels that execute pages.
os.environ["PYTHONWARNINGS"] = "ignore"
os.environ["PYTHONPATH"] = os.pathsep.join([str(_here.parent), str(_here), os.environ.get("PYTHONPATH", "")])
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
# What functions return and write is prose, which napoleon would take for a list of types.
napoleon_custom_sections = [("Returns", "as it stands")]
python_maximum_signature_line_length = 80
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "sphinx_book_theme"
html_title = "scfcmi"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["scfcmi.css"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],  # the sidebar has a search field already
    "navigation_with_keys": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
}
# "Edit this page", where the environment says what is edited: the repository is known when the pages are published. Tutorials
# come from another folder, and pages of the API from docstrings.
if _repository := os.environ.get("SCFCMI_REPOSITORY"):
    html_theme_options["use_edit_page_button"] = True
    html_context |= {
        "edit_page_provider_name": "GitHub",
        "edit_page_url_template": _repository + "/edit/main/{% if file_name.startswith('generated/') %}docs/api.md"
        "{% elif file_name.startswith('tutorials/') %}{{ file_name }}{% else %}docs/{{ file_name }}{% endif %}",
    }
