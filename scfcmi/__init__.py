"""Fair clustering of single cells by maximizing and minimizing mutual information (FCMI).

What is public is listed in ``__init__.pyi`` and loaded on first use: importing scfcmi loads neither torch nor scanpy nor
matplotlib.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
