from . import baselines as baselines
from . import benchmark as benchmark
from . import datasets as datasets
from . import errors as errors
from . import metrics as metrics
from . import pl as pl
from . import tl as tl
from ._load_model import load_model as load_model
from ._logging import set_verbosity as set_verbosity
from .model import FCMI as FCMI
from .model import AtlasFCMI as AtlasFCMI
from .model import consensus as consensus

__version__: str
