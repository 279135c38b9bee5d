"""The job with exact models of integers: numbers, pictures, both ways to compile."""

import dataclasses
import json

import ml_collections
import numpy as np
import pytest

from tfp_flows import flows
from train import (
    callbacks,
    evaluation,
    fitting,
    job,
    pictures,
    pipelines,
    report,
    strategies,
)
from train.configs import (
    ar_process,
    digits_pixel_cnn,
    digits_real_nvp,
    digits_table,
    mnist_pixel_cnn,
)
from train.pipelines import processes

OPTIONS = {
    "pixel_cnn": {"num_blocks": 1, "filters": 8},
    "pixel_rnn": {"num_layers": 1, "units": 8},
}


def tiny(name):
    config = digits_real_nvp.get_config()
    config.flow.name = name
    config.flow.options = ml_collections.ConfigDict(OPTIONS[name])
    config.epochs, config.num_draws, config.diagnosed = 2, 2, 0
    config.rivals.nice.epochs = 0
    config.baselines.mixture_components = (2,)
    config.baselines.covariance_floors = (0.1,)
    config.export = False
    return config


@pytest.mark.slow
def test_an_exact_model_runs_from_start_to_end(tmp_path):
    saved = job.run(tiny("pixel_cnn"), tmp_path, lambda line: None)
    for picture in ("samples", "completions", "extremes", "curves"):
        assert (tmp_path / f"{picture}.png").stat().st_size > 5000
    assert not (tmp_path / "interpolations.png").exists()
    assert saved == json.loads((tmp_path / "report.json").read_text())
    assert [row["is_exact"] for row in saved["scores"]] == [False, False, True]
    assert "without noise: pixel_cnn." in (tmp_path / "report.md").read_text()
    rows = callbacks.read_metrics(tmp_path / "metrics.jsonl")
    assert rows[-1]["bits_per_dim"] < rows[0]["bits_per_dim"]
    last = saved["scores"][-1]
    np.testing.assert_allclose(last["nats"], last["bits_per_dim"] * 64 * np.log(2))


@pytest.mark.slow
def test_xla_trains_what_the_graph_trains(tmp_path):
    """A loop over rows, its gradient, and averaged weights swapped in to validate."""
    config = tiny("pixel_rnn")
    config.optimizer.ema = 0.5
    splits = pipelines.load(config.data, tmp_path)
    x = splits.train.head(2 * config.data.batch_size).x[:, 2:5, 2:6]
    part = pipelines.Part(pipelines.Arrays(x))
    splits = dataclasses.replace(splits, train=part, valid=part)
    histories = []
    for jit_compile in ("true", "false"):
        config.jit_compile = jit_compile
        (_, chosen, place), *_ = job.models_of(config, tmp_path / jit_compile)
        there = strategies.place(config.strategy)
        histories.append(fitting.train(chosen, splits, config, place, there)[1])
    for xla, graph in zip(*histories, strict=True):
        for key in ("nll", "val_nll"):
            np.testing.assert_allclose(xla[key], graph[key], rtol=1e-4)
    assert graph["val_nll"] < histories[0][0]["nll"]


@pytest.mark.slow
def test_a_process_is_reported_beside_its_entropy_rate(tmp_path):
    config = ar_process.get_config()
    config.data.num_train, config.data.num_test, config.data.num_steps = 400, 100, 20
    config.epochs, config.export, config.jit_compile = 2, False, "false"
    config.diagnosed = 0
    saved = job.run(config, tmp_path, lambda line: None)
    assert (tmp_path / "samples.png").stat().st_size > 5000
    note = saved["note"]
    assert "Entropy rate of the process: 0.7258 nats a step; wavenet: " in note
    said = float(note.split("wavenet: ")[1].split()[0])
    np.testing.assert_allclose(said, saved["scores"][-1]["nats"] / 20, atol=1e-4)


def test_the_process_itself_is_not_above_its_own_density():
    process = processes.GaussianAR((0.5,), 1.0)
    part = pipelines.Part(pipelines.Arrays(process.draw(50, 10, seed=0)))
    splits = pipelines.Splits(part, part, part, None, process)
    bits = -process.log_prob(part.head(len(part)).x) / (10 * np.log(2))
    score = evaluation.Score("itself", bits, 1, 0.0, 0.0, num_dims=10, is_exact=True)
    note = report.how_measured([score], splits, digits_real_nvp.get_config())
    nll = bits * np.log(2)
    said = (
        f"{nll.mean():.4f} nats a step, standard error {nll.std(ddof=1) / 50**0.5:.4f}"
    )
    assert said in note
    assert "0.0000 (standard error 0.0000) above" in note.replace("-0.0000", "0.0000")


@pytest.mark.parametrize(
    ("binarize", "said"), [("threshold", "half of the range"), ("stochastic", "seed 7")]
)
def test_a_report_says_how_images_were_binarised(binarize, said):
    config = digits_real_nvp.get_config()
    config.data.binarize, config.data.seed = binarize, 7
    part = image_part()
    splits = pipelines.Splits(part, part, part, 2)
    score = evaluation.Score("m", np.ones(3), 1, 0.0, 0.0, num_dims=16, is_exact=True)
    assert said in report.how_measured([score], splits, config)


@pytest.mark.parametrize(
    "module", [ar_process, digits_pixel_cnn, digits_table, mnist_pixel_cnn]
)
def test_every_model_of_a_config_can_be_built(module):
    config = module.get_config()
    shapes = {"ar_process": (200, 1), "mnist": (28, 28, 1), "digits": (8, 8, 1)}
    values = {"ar_process": None, "mnist": 2, "digits": 17}[config.data.name]
    part = pipelines.Part(pipelines.Arrays(np.zeros((1, *shapes[config.data.name]))))
    splits = pipelines.Splits(part, part, part, values)
    wanted = [r for r in config.rivals.values() if r.epochs]
    for model in (config.flow, *wanted):
        assert fitting._build(model.name, model.options, splits).trainable_variables
    assert len(wanted) == (5 if module is digits_table else 0)


def image_part(count=3):
    x = np.random.default_rng(0).integers(0, 4, (count, 4, 4, 1))
    return pipelines.Part(pipelines.Arrays(x.astype(np.uint8)))


def test_bits_of_an_exact_model_are_those_of_one_evaluation():
    model = flows.pixel_cnn((4, 4, 1), 1, 8, num_values=4)
    for variable in model.trainable_variables:
        noise = np.random.default_rng(1).normal(size=variable.shape)
        variable.assign(variable + 0.1 * noise)
    part = image_part()
    bits = evaluation.bits_per_dim(model, part, num_draws=5, batch_size=2)
    np.testing.assert_allclose(
        bits, model.bits_per_dim(part.head(len(part)).x), rtol=1e-5
    )
    assert np.ptp(bits) > 0.0


def test_completions_keep_the_upper_half_and_draw_the_rest(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: None)
    monkeypatch.setattr(
        pictures.plots, "completions", lambda *arrays: drawn.append(arrays)
    )
    model = flows.pixel_cnn((4, 4, 1), 1, 8, num_values=4)
    part = image_part()
    pictures.completions(model, part, tmp_path / "c.png", seed=0, draws=5)
    images, known, draws = drawn[0]
    x = part.head(len(part)).x
    np.testing.assert_array_equal(images, x)
    assert known[:2].all() and not known[2:].any()
    draws = draws.numpy()
    np.testing.assert_array_equal(draws[:, :, :2], np.stack([x[:, :2]] * 5))
    assert len({tuple(x.ravel()) for x in draws[:, :, 2:].reshape(15, 8)}) == 15
