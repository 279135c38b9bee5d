"""Tables as people have them: what each column holds, and its numbers for a model.

NumPy alone; data frames are read if they come, pandas is not needed otherwise.
"""

from tfp_flows.tables.column import KINDS, LARGEST_INTEGER, Column
from tfp_flows.tables.columns import Columns
from tfp_flows.tables.inference import infer

__all__ = ["KINDS", "LARGEST_INTEGER", "Column", "Columns", "infer"]


def __dir__():
    return __all__
