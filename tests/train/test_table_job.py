"""A job on a table with a header: what it took columns for, gaps, given columns."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from train import job, pipelines
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
    settings, said = config(path, condition_on=given), []
    report = job.run(settings, tmp_path, said.append)
    assert any("kind   category  one of 'a', 'b' (text)" in line for line in said)
    scores = json.loads((tmp_path / "report.json").read_text())["scores"]
    assert [s["name"] for s in scores][-1] == "tabular" and len(scores) == 3
    assert np.isfinite([s["nats"] for s in scores]).all()
    assert (tmp_path / "report.html").exists() and (tmp_path / "samples.png").exists()
    assert not (tmp_path / "export").exists()
    assert ("a column has few values (kind)" in report["note"]) == (not given)
    _assert_the_kept_model_has_the_score(settings, tmp_path, scores[-1]["nats"])


def _assert_the_kept_model_has_the_score(settings, workdir, nats):
    flow = keras.models.load_model(workdir / "model.keras").flow
    test = pipelines.load(settings.data, workdir).test.head(20)
    given = settings.data.condition_on
    context = {"context": test.context} if given else {}
    found = -np.mean(flow.log_prob(test.x, **context))
    np.testing.assert_allclose(found, nats, rtol=1e-5)
    assert "kind" in (flow.context_columns if given else flow.columns).names


def test_what_a_job_cannot_do_with_tables_is_refused_at_once(path, tmp_path):
    served = config(path)
    served.export = True
    with pytest.raises(ValueError, match="is not served. Set config.export to False"):
        job.run(served, tmp_path)
    plain = config(path)
    plain.data.name = "two_moons"
    with pytest.raises(ValueError, match="Set config.data.name to table"):
        job.run(plain, tmp_path)
