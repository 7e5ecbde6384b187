from . import baselines as baselines
from . import benchmark as benchmark
from . import datasets as datasets
from . import errors as errors
from . import metrics as metrics
from . import pl as pl
from . import tl as tl
from ._logging import set_verbosity as set_verbosity
from .models import FCMI as FCMI
from .models import AtlasFCMI as AtlasFCMI
from .models import consensus as consensus
from .models import load_model as load_model

__version__: str
