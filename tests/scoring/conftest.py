"""A few exported models, rows for them, and jobs within this process."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import pytest

from tests import laws
from tests.scoring.files import HERE
from tfp_flows import flows, scoring, serving

_SMALL = {"num_steps": 2, "hidden_units": (8,)}
_RECIPES = {
    "vector": lambda: flows.real_nvp((4,), **_SMALL),
    "digits": lambda: flows.real_nvp((4,), **_SMALL, num_values=17),
    "conditional": lambda: flows.real_nvp((4,), **_SMALL, context_shape=(2,)),
    "autoregressive": lambda: flows.recurrent((4, 1), (4,), num_values=5),
    "auxiliary": lambda: flows.reversible((4,), 1, (4,)),
    "image": lambda: flows.glow((4, 4, 1), 1, 1, 4, num_values=17),
}


@dataclasses.dataclass
class Exported:
    """A flow and the directory of its only version."""

    flow: Any
    directory: str


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Returns a recipe of the table, exported once."""
    made = {}

    def export(name):
        if name not in made:
            flow = _RECIPES[name]()
            laws.randomize(flow)
            base = tmp_path_factory.mktemp("served") / name
            made[name] = Exported(
                flow, str(serving.export(flow, base, allow_unadapted=True))
            )
        return made[name]

    return export


@pytest.fixture(scope="session")
def rows():
    """Returns 50 rows `[50, 4]` for the vector model."""
    return np.random.default_rng(5).standard_normal((50, 4)).astype(np.float32)


@pytest.fixture
def run(tmp_path):
    """Returns a call that scores here and reads what was written.

    It returns the rows by key, the bad rows by name of the file and number, and the
    summary.
    """

    def score(model, input, signature="log_prob", flags=HERE, **options):
        output = tmp_path / f"scores{len(list(tmp_path.glob('scores*')))}" / "a"
        summary = scoring.score(
            model.directory,
            str(input),
            str(output),
            signature=signature,
            flags=flags,
            **options,
        )
        return written(output), invalid(output), summary

    return score


def written(prefix) -> dict[str, dict[str, Any]]:
    """Returns the rows of all Parquet files of a job by their keys."""
    from pyarrow import parquet

    prefix = pathlib.Path(prefix)
    tables = [
        parquet.read_table(path).to_pylist()
        for path in sorted(prefix.parent.glob(f"{prefix.name}-*-of-*.parquet"))
    ]
    assert tables
    found = [row for table in tables for row in table]
    by_key = {row["key"]: row for row in found}
    assert len(by_key) == len(found)  # nothing twice
    return by_key


def invalid(prefix) -> dict[str, dict[str, Any]]:
    """Returns the bad rows of a job by the name of the file and the row's number."""
    prefix = pathlib.Path(prefix)
    lines = [
        json.loads(line)
        for path in prefix.parent.glob(f"{prefix.name}-invalid-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    return {pathlib.PurePath(line["row"]).name: line for line in lines}
