from ._composition import composition as composition
from ._confidence import confidence as confidence
from ._confusion import confusion as confusion
from ._history import history as history
from ._n_clusters import n_clusters as n_clusters
from ._report import report as report
from ._umap import umap as umap
