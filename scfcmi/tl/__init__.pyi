from ._assign import assign as assign
from ._choose_n_clusters import choose_n_clusters as choose_n_clusters
from ._diagnose import diagnose as diagnose
from ._evaluate import evaluate as evaluate
from ._fair_cluster import fair_cluster as fair_cluster
from ._fair_cluster import fit_model as fit_model
from ._translate import translate as translate
from ._umap import umap as umap
