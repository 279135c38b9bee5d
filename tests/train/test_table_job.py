"""A job on a table with a header: what it took columns for, gaps, given columns."""

import json

import numpy as np
import pandas as pd
import pytest

from train import job
from train.configs import table


def config(path, **options):
    made = table.get_config()
    made.data.update(path=str(path), num_valid=20, num_test=20, **options)
    made.flow.options.hidden_units = (8,)
    made.baselines.update(mixture_components=(2,), covariance_floors=(0.1,))
    made.update(epochs=1, jit_compile="false", diagnosed=0)
    return made


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "kind": np.array(["a", "b"], object)[rng.integers(0, 2, 90)],
            "count": rng.poisson(3, 90),
            "size": rng.normal(size=90),
        }
    )
    frame = frame.mask(rng.random(frame.shape) < 0.2)
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("given", [(), ("kind",)])
def test_a_table_with_gaps_is_trained_beside_gaussians(path, tmp_path, given):
    said = []
    job.run(config(path, condition_on=given), tmp_path, said.append)
    assert "kind   category  one of 'a', 'b' (text)" in said[0]
    scores = json.loads((tmp_path / "report.json").read_text())["scores"]
    assert [s["name"] for s in scores][-1] == "tabular" and len(scores) == 3
    assert np.isfinite([s["nats"] for s in scores]).all()
    assert (tmp_path / "report.html").exists() and (tmp_path / "samples.png").exists()
    assert not (tmp_path / "export").exists()


def test_what_a_job_cannot_do_with_tables_is_refused_at_once(path, tmp_path):
    served = config(path)
    served.export = True
    with pytest.raises(ValueError, match="is not served. Set config.export to False"):
        job.run(served, tmp_path)
    plain = config(path)
    plain.data.name = "two_moons"
    with pytest.raises(ValueError, match="Set config.data.name to table"):
        job.run(plain, tmp_path)
