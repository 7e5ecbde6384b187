from ._paper import paper_table as paper_table
from ._plot_reconstructions import plot_reconstructions as plot_reconstructions
from ._plot_sensitivity import plot_sensitivity as plot_sensitivity
from ._plot_table import plot_table as plot_table
from ._record import read_runs as read_runs
from ._report import write_report as write_report
from ._runner import run as run
