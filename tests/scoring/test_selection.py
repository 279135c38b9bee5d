"""Which columns become which inputs."""

import numpy as np
import pytest

from tfp_flows.scoring.rows import Raw
from tfp_flows.scoring.selection import rows_for
from tfp_flows.scoring.signatures import Signature, Spec

INPUTS = {
    "x": Spec((2,), np.dtype("float32")),
    "label": Spec((), np.dtype("int32")),
}
SIGNATURE = Signature("log_prob", INPUTS, {})


@pytest.mark.parametrize("named", [(), ("kind",)])
def test_a_label_is_a_column_as_a_context_is(named):
    column = named[0] if named else "label"
    widths = {"a": 1, column: 1, "b": 1}
    rows = rows_for(SIGNATURE, widths, context=named)
    assert rows.columns == {"x": ("a", "b"), "label": (column,)}
    columns = {name: np.float64([[1], [2]]) for name in widths}
    block, invalid = rows.block(Raw("rows.csv", np.arange(2), columns))
    assert not invalid and block.inputs["label"].tolist() == [1, 2]
    assert block.inputs["label"].dtype == np.int32


def test_a_label_that_is_missing_or_too_wide_is_told():
    with pytest.raises(ValueError, match="takes a label of 1 numbers"):
        rows_for(SIGNATURE, {"a": 1, "b": 1})
    with pytest.raises(ValueError, match="label needs 1 numbers .* --context="):
        rows_for(SIGNATURE, {"a": 1, "b": 1, "label": 3})
