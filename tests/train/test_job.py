"""The job end to end on a tiny configuration: artefacts, resuming, mistakes."""

import base64
import html.parser
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import FlowModel, flows
from train import (
    callbacks,
    evaluation,
    job,
    page,
    pictures,
    pipelines,
    report,
)
from train.configs import digits_real_nvp, two_moons

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("job")

PNG = "data:image/png;base64,"
ROOT = pathlib.Path(__file__).parents[2]
TINY = {
    "epochs": 3,
    "num_draws": 2,
    "rivals.nice.epochs": 1,
    "baselines.mixture_components": (2,),
    "baselines.covariance_floors": (0.1,),
    "rivals.nice.options.hidden_units": (16,),
    "flow.options.num_steps": 2,
    "diagnosed": 0,
}


def tiny(config, **fields):
    width = {"flow.options.filters": 8} if "filters" in config.flow.options else {}
    config.update_from_flattened_dict({**TINY, **width, **fields})
    return config


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("digits")
    lines = []
    config = tiny(digits_real_nvp.get_config(), diagnosed=60)
    saved = job.run(config, workdir, say=lines.append)
    return workdir, saved, lines, config


@pytest.mark.slow
def test_a_run_leaves_everything_it_promises(digits_run):
    workdir, saved, lines, _ = digits_run
    for name in ("samples", "interpolations", "extremes", "curves"):
        assert (workdir / f"{name}.png").stat().st_size > 5000
    assert (workdir / "export" / "1" / "saved_model.pb").is_file()
    assert list((workdir / "logs").rglob("events.*"))
    assert (workdir / "model.weights.h5").is_file()
    rows = callbacks.read_metrics(workdir / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert {"nll", "bits_per_dim", "val_bits_per_dim"} <= set(rows[0])
    assert saved == json.loads((workdir / "report.json").read_text())
    names = [row["name"] for row in saved["scores"]]
    assert names == ["Gaussian", "mixture of 2 Gaussians", "nice", "real_nvp"]
    table, diagnosis = (workdir / "report.md").read_text().split("\n## ")
    assert (
        table in lines and "c2st" in diagnosis and "c2st" in saved["diagnosis"]["found"]
    )
    assert rows[-1]["bits_per_dim"] < rows[0]["bits_per_dim"]


class Page(html.parser.HTMLParser):
    """Text of each cell, sources of pictures, and tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.sources, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.sources += [attributes[k] for k in ("src", "href") if k in attributes]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


@pytest.mark.slow
def test_the_page_is_one_file_with_what_was_found_and_all_pictures(digits_run):
    workdir, saved, lines, _ = digits_run
    shown = Page((workdir / "report.html").read_text())
    assert shown.open == []
    for score in saved["scores"]:
        assert score["name"] in shown.cells
        assert f"{score['bits_per_dim']:.3f}" in shown.cells
    for name in ("latent normality", "coverage", "c2st", "memorisation", "precision"):
        place = shown.cells.index(name)
        assert shown.cells[place - 1] in ("ok", "doubt")
        assert len(shown.cells[place + 2]) > 20
    place = shown.cells.index("decomposition")
    assert shown.cells[place - 1] == "ok"
    assert "by the flow's linearisations" in shown.cells[place + 2]
    # Normality, coverage and shares, and those of the run.
    assert len(shown.sources) == 3 + 4
    inside = [base64.b64decode(s.removeprefix(PNG)) for s in shown.sources]
    assert (workdir / "extremes.png").read_bytes() in inside
    # Three epochs are too few, and the page says so.
    told = next(line for line in lines if line.startswith("Diagnosed with 60 test"))
    assert "c2st" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"diagnosed": 0}, "config.diagnosed is 0"), ({}, "fewer than 20 events")],
)
def test_a_page_says_why_nothing_was_diagnosed(tmp_path, changes, message):
    config = digits_real_nvp.get_config()
    config.update(changes)
    part = pipelines.Part(pipelines.Arrays(np.zeros((3, 4))))
    splits = pipelines.Splits(part, part, part, None)
    why = page.diagnose(flows.gaussian((4,)), splits, config, print)
    assert message in why.note and why.plain() == {"note": why.note}
    assert why.note in why.text()
    page.save([score("<one>", [1.0, 2.0])], "a note", why, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert why.note in text and "&lt;one&gt;" in text and "<one>" not in text


def test_a_model_that_cannot_be_diagnosed_does_not_end_the_job():
    model = flows.gaussian((4,))
    model.raw_variables[0].assign(np.nan * model.raw_variables[0])
    part = pipelines.Part(pipelines.Arrays(np.random.default_rng(0).random((30, 4))))
    splits = pipelines.Splits(part, part, part, None)
    why = page.diagnose(model, splits, digits_real_nvp.get_config(), print)
    assert why.note.startswith("Nothing was diagnosed: ") and "not finite" in why.note


@pytest.mark.slow
def test_the_reported_the_restored_and_the_served_number_agree(digits_run):
    workdir, _, _, config = digits_run
    splits = pipelines.load(config.data, workdir)
    flow = flows.build(
        "real_nvp",
        event_shape=(8, 8, 1),
        num_values=17,
        **config.flow.options.to_dict(),
    )
    FlowModel(flow).load_weights(workdir / "model.weights.h5")
    x = splits.test.head(8).x.astype(np.float32) + 0.5
    served = tf.saved_model.load(str(workdir / "export" / "1"))
    served = served.signatures["log_prob"](x=tf.constant(x))["log_prob"]
    np.testing.assert_allclose(served, flow.flow.log_prob(x), rtol=1e-5)
    card = json.loads(
        (workdir / "export" / "1" / "assets.extra" / "flow_card.json").read_text()
    )
    assert card["report"]["num_test_events"] == 250


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(digits_run):
    workdir, saved, _, config = digits_run
    before = (workdir / "metrics.jsonl").read_text()
    config = config.copy_and_resolve_references()
    config.export = False
    again = job.run(config, workdir, say=lambda line: None)
    assert (workdir / "metrics.jsonl").read_text() == before
    for one, two in zip(saved["scores"], again["scores"], strict=True):
        np.testing.assert_allclose(one["bits_per_dim"], two["bits_per_dim"], rtol=1e-5)


@pytest.mark.slow
def test_a_conditional_vector_job_runs(tmp_path):
    config = vector_config(3).copy_and_resolve_references()
    saved = job.run(config, tmp_path, lambda line: None)
    assert (tmp_path / "samples.png").stat().st_size > 5000
    assert (tmp_path / "export" / "1" / "saved_model.pb").is_file()
    assert len(saved["scores"]) == 4


@pytest.mark.parametrize(
    ("size", "drawn_by"), [(1, "points"), (2, "density"), (3, "corner"), (9, "points")]
)
def test_vectors_are_drawn_as_their_number_of_columns_allows(
    tmp_path, monkeypatch, size, drawn_by
):
    called = []
    for name in ("points", "density", "corner"):
        draw = getattr(pictures.plots, name)
        monkeypatch.setattr(
            pictures.plots,
            name,
            lambda *args, name=name, draw=draw: called.append(name) or draw(*args),
        )
    x = np.random.default_rng(0).normal(size=(40, size)).astype(np.float32)
    part = pipelines.Part(pipelines.Arrays(x))
    pictures.vectors(flows.gaussian((size,)), part, tmp_path / "s.png", seed=0)
    assert called == [drawn_by] and (tmp_path / "s.png").stat().st_size > 5000


def vector_config(epochs):
    return tiny(
        two_moons.get_config(),
        **{
            "epochs": epochs,
            "jit_compile": "false",
            "flow.options.hidden_units": (16,),
            "data.num_train": 500,
        },
    )


def score(name, bits, num_parameters=5, is_exact=True, **fields):
    fields = {"train_seconds": 0.0, "sample_seconds": 0.01, "num_dims": 4, **fields}
    return evaluation.Score(
        name, np.array(bits), num_parameters, is_exact=is_exact, **fields
    )


def test_scores_have_the_standard_errors_of_the_book():
    one = score("one", [1.0, 2.0, 3.0])
    two = score("two", [1.5, 2.5, 3.5], 1234, train_seconds=61.4, sample_seconds=0.25)
    assert one.mean == 2.0
    np.testing.assert_allclose(one.standard_error, 1 / np.sqrt(3))
    np.testing.assert_allclose(two.minus(one), (0.5, 0.0))
    np.testing.assert_allclose(one.nats, [2.772589, 5.545177, 8.317766], rtol=1e-6)
    text = report.table([one, two, two])
    assert "| two | 2.500 | 0.577 | 6.93 (1.60) | 1,234 | 61 | 0.250 |" in text


def test_a_report_says_which_numbers_are_exact_and_whose_noise_was_learned():
    settings = digits_real_nvp.get_config()
    parts = [pipelines.Part(pipelines.Arrays(np.zeros((1, 4))))] * 3
    integers, reals = (pipelines.Splits(*parts, n) for n in (17, None))
    scores = [score("Gaussian", [1.0], is_exact=False), score("pixel_cnn", [1.0])]
    note = report.how_measured(scores, integers, settings)
    assert note.startswith("Exact, in one evaluation without noise: pixel_cnn. The")
    assert "uniform dequantization, averaged over 16 draws" in note
    assert note.endswith(": Gaussian.")
    assert "bound" not in report.how_measured(scores[1:], integers, settings)
    settings.flow.options.dequantization = "variational"
    note = report.how_measured(scores[:1], integers, settings)
    assert "uniform dequantization (real_nvp: of learned noise), averaged" in note
    assert "Exact" not in note
    assert "real numbers" in report.how_measured(scores, reals, settings)


def test_bits_average_the_bound_over_seeded_draws():
    flow = flows.gaussian((2,), num_values=4)
    events = np.array([[0, 1], [2, 3], [1, 1]])
    part = pipelines.Part(pipelines.Arrays(events))
    one = evaluation.bits_per_dim(flow, part, 3, batch_size=2)
    np.testing.assert_array_equal(one, evaluation.bits_per_dim(flow, part, 3, 2))
    draws = [
        np.concatenate(
            [
                flow.bits_per_dim(events[s : s + 2], seed=tf.constant([i, s]))
                for s in (0, 2)
            ]
        )
        for i in range(3)
    ]
    np.testing.assert_allclose(one, np.mean(draws, axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "config.epochs must be positive"),
        ({"data.batch_size": 0}, "config.data.batch_size must be positive"),
        ({"jit_compile": "maybe"}, "config.jit_compile must be one of"),
        ({"flow.name": "glov"}, "Unknown flow 'glov'"),
        ({"flow.options.num_steps": 0}, "num_steps >= 1"),
        ({"diagnosed": 7}, "config.diagnosed must be 20 test events or more"),
    ],
)
def test_wrong_fields_are_refused(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        job.run(tiny(digits_real_nvp.get_config(), **fields), tmp_path, print)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--nope", "Unknown command line flag 'nope'"),
        ("--config=missing.py", "there is no config file 'missing.py'"),
        ("--config.nope=1", "no field nope"),
        ("--config.epochs=many", "invalid literal"),
        ("stray", "unknown argument 'stray'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_not_exit_code_zero(argument, message):
    done = subprocess.run(
        [sys.executable, "-m", "train", argument],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("train: ")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_missing_data_are_one_line_at_the_command_line(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "train",
            f"--workdir={tmp_path}",
            "--config.data.name=csv",
            "--config.data.path=/none.csv",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 2
    assert "train: There is no file '/none.csv'." in done.stderr
    assert "Traceback" not in done.stderr
