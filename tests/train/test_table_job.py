"""A job on a table with a header: what it took columns for, gaps, given columns."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from train import job, pipelines
from train.configs import digits_real_nvp, table
from train.pipelines import frames


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


def test_a_table_with_gaps_is_diagnosed_by_its_rows_without(path, tmp_path):
    longer = tmp_path / "longer.csv"
    pd.concat([pd.read_csv(path)] * 3).to_csv(longer, index=False)
    settings = config(longer)
    settings.data.num_test = settings.diagnosed = 45
    report = job.run(settings, tmp_path, lambda line: None)
    found = report["diagnosis"]
    whole = int(found["note"].split(" as ")[1].split()[0])
    assert f"{whole} of 45 test events" in found["note"] and 20 <= whole < 45
    assert found["num_events"] == whole and "c2st" in found["found"]
    assert "no flow inside" in found["left_out"]["latent normality"]
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["diagnosis"] == found
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert found["note"] in text and "c2st" in text


def test_of_too_few_rows_without_gaps_it_is_said_that_questions_need_them(
    path, tmp_path
):
    settings = config(path)
    settings.diagnosed = 20
    report = job.run(settings, tmp_path, lambda line: None)
    note = report["diagnosis"]["note"]
    assert note.startswith("Nothing was diagnosed. All of these questions need rows")
    assert note in (tmp_path / "report.md").read_text()
    assert note in (tmp_path / "report.html").read_text()


def test_gaussians_train_on_a_table_with_gaps(path, tmp_path):
    settings = config(path)
    settings.flow.name = "gaussian_mixture"
    settings.flow.options = {"num_components": 2, "missing": True}
    settings.rivals = {"single": digits_real_nvp.rival("gaussian", 1, missing=True)}
    report = job.run(settings, tmp_path, lambda line: None)
    names = [s["name"] for s in report["scores"]]
    assert names[2:] == ["single", "gaussian_mixture"]
    nats = [s["nats"] for s in report["scores"]]
    assert np.isfinite(nats).all()
    # An epoch after the same closed form: about the baselines' numbers.
    np.testing.assert_allclose(nats[2], nats[0], atol=0.2)
    settings.export = True
    with pytest.raises(ValueError, match="gaussian_mixture takes missing values and"):
        job.run(settings, tmp_path / "served")


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


TEXT = "x, c ,n\n1.5,a,3\n2.5,b,\n-3.5,a,5\n0.25,b,9\n"


def read(path, text, encoding="utf-8", **options):
    path.write_bytes(text.encode(encoding))
    data = config(path, **options).data
    data.update(num_valid=1, num_test=1)
    parts, more = frames.load(data)
    rows = np.concatenate([part.rows(np.arange(len(part))).x for part in parts])
    return more["columns"], rows[np.argsort(rows[:, 0])]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (TEXT.replace(",", ";"), "utf-8"),
        (TEXT.replace(",", "\t"), "utf-8"),
        (TEXT.replace("\n", "\r\n") + "\r\n", "utf-8-sig"),
        (TEXT.replace("1.5,a", '1.5, "a"').replace("x,", ' "x" ,'), "utf-8"),
    ],
)
def test_text_has_many_forms(tmp_path, text, encoding):
    columns, x = read(tmp_path / "rows.CSV", text, encoding)
    assert [(c.name, c.kind) for c in columns] == [
        *(("x", "real"), ("c", "category"), ("n", "integer")),
    ]
    wanted = [[-3.5, 0, 5], [0.25, 1, 9], [1.5, 0, 3], [2.5, 1, np.nan]]
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.txt", TEXT, "is no .csv or .parquet file"),
        ("rows.csv", TEXT.replace(",a,", ",a,7,"), "as many values in each line"),
        ("rows.csv", TEXT.replace("a,", "a,7,").replace("b,", "b,7,"), "as many val"),
        ("rows.csv", "x,n\n1.5,3\n1.5,4\n1.5,5", "as float32, in all rows of .'x'"),
        ("rows.parquet", TEXT, "is no readable table: .*Wanted is text in UTF-8"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name, text)


def test_text_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Wanted is text in UTF-8"):
        read(tmp_path / "rows.csv", TEXT.replace("a", "\xe9"), "latin-1")
