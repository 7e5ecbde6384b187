"""The report of a result: one HTML page that needs nothing else.

``_content.py`` turns what the tools stored into numbers and words, ``_maps.py`` into maps, ``_markers.py`` finds genes;
``page.html`` says where they stand (jinja2, which escapes every name), ``page.css`` how they look and ``page.js`` what a
click does.
"""

from __future__ import annotations

from ._report import report as report
