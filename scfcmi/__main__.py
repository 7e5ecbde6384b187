"""``python -m scfcmi``: the command line."""

from __future__ import annotations

import sys

from scfcmi.cli import main

sys.exit(main())
