"""Signatures that not every model has: labels, completions, p-values, fewer of them."""

import itertools
import json

import numpy as np
import pytest

from tests.serving.conftest import CLASSES, Runtime, export
from tfp_flows import flows, serving
from tfp_flows.serving import golden

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("signatures")


def all_states():
    return np.array(list(itertools.product(range(3), repeat=4))).reshape([-1, 2, 2, 1])


def test_labels_are_indicators_of_classes(classes):
    model, ask, directory, _ = classes
    x = all_states().astype(np.int32)
    label = (np.arange(len(x)) % CLASSES).astype(np.int32)
    got = ask("log_prob", {"x": x, "label": label})
    wanted = model.log_prob(x, context=np.eye(CLASSES, dtype=np.float32)[label])
    np.testing.assert_allclose(got["log_prob"], wanted, atol=1e-5)
    one = ask("log_prob", {"x": x, "label": np.zeros_like(label)})["log_prob"]
    assert np.abs(one - got["log_prob"]).max() > 1e-3
    card = json.loads((directory / "assets.extra" / "flow_card.json").read_text())
    for inputs in (s["inputs"] for s in card["signatures"].values()):
        assert inputs["label"] == {"dtype": "int32", "shape": [-1]}


@pytest.mark.parametrize("bad", [-1, CLASSES, 2**31 - 1])
def test_a_label_that_is_none_marks_its_row_only(classes, bad):
    _, ask, _, _ = classes
    x = all_states()[:4].astype(np.int32)
    clean = ask("log_prob", {"x": x, "label": np.int32([0, 1, 2, 0])})
    got = ask("log_prob", {"x": x, "label": np.int32([0, bad, 2, 0])})
    assert got["valid"].tolist() == [True, False, True, True]
    assert np.isnan(got["log_prob"][1])
    others = [0, 2, 3]
    np.testing.assert_allclose(
        got["log_prob"][others], clean["log_prob"][others], rtol=1e-5
    )


def test_completions_come_as_often_as_the_probabilities_say(classes):
    """Judged by all states that agree with what is known."""
    _, ask, _, _ = classes
    count, states = 3000, all_states()
    start = np.array([2, 1])
    x = np.tile([*start, 7, -5], [count, 1]).reshape([count, 2, 2, 1])
    request = {
        "x": x.astype(np.int32),
        "known": np.tile([1, 1, 0, 0], [count, 1]).reshape(x.shape).astype(np.int32),
        "seed": serving.seeds(4, count),
        "label": np.ones(count, np.int32),
    }
    got = ask("complete", request)
    assert got["valid"].all()
    drawn = got["x"].reshape([count, 4]).astype(int)
    np.testing.assert_array_equal(drawn[:, :2], np.tile(start, [count, 1]))
    one = np.ones(len(states), np.int32)
    asked = {"x": states.astype(np.int32), "label": one}
    probs = np.exp(ask("log_prob", asked)["log_prob"].astype(float)).reshape([3] * 4)
    wanted = probs[tuple(start)] / probs[tuple(start)].sum()
    often = np.zeros([3, 3])
    np.add.at(often, (drawn[:, 2], drawn[:, 3]), 1.0 / count)
    noise = np.sqrt(9 / (2 * np.pi * count))
    assert np.abs(often - wanted).sum() / 2 < 2 * noise
    np.testing.assert_allclose(
        got["log_prob"], np.log(probs[tuple(drawn.T)]), atol=1e-4
    )


def test_masks_that_are_no_beginning_mark_their_rows(classes):
    _, ask, _, _ = classes
    masks = [[1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 0, 1], [2, 0, 0, 0], [-1, 0, 0, 0]]
    known = np.int32(masks).reshape([5, 2, 2, 1])
    request = {
        "x": np.zeros([5, 2, 2, 1], np.int32),
        "known": known,
        "seed": serving.seeds(4, 5),
        "label": np.zeros(5, np.int32),
    }
    got = ask("complete", request)
    assert got["valid"].tolist() == [True, False, False, False, False]
    assert np.isnan(got["x"][1:]).all() and (got["x"][0] == 0).all()
    request["x"][0, 0, 0, 0] = 3  # a known value that is none
    assert not ask("complete", request)["valid"].any()


def test_p_values_count_calibration_events(classes):
    model, ask, _, (events, context) = classes
    scores = -model.log_prob(events, context=context).numpy()
    x = all_states()[:27].astype(np.int32)
    label = np.full(27, 2, np.int32)
    got = ask("anomaly_score", {"x": x, "label": label})
    np.testing.assert_allclose(
        got["score"], -ask("log_prob", {"x": x, "label": label})["log_prob"], rtol=1e-6
    )
    # Scores that differ by rounding alone count as equal.
    for slack, sign in [(1e-5, 1), (-1e-3, -1)]:
        count = (scores[None] >= got["score"][:, None] + slack).sum(axis=1)
        assert (sign * (got["p_value"] - (1 + count) / 200) >= -1e-6).all()
    again = ask(
        "anomaly_score",
        {"x": events, "label": np.argmax(context, axis=1).astype(np.int32)},
    )
    # An event of the calibration itself: at least as many as its rank.
    ranks = (scores[None] >= scores[:, None]).sum(axis=1)
    assert (again["p_value"] >= (ranks + 1) / 200 - 1e-6).all()


def test_golden_rows_are_what_sample_answers(classes):
    rows = golden.load(classes[2])
    events, answers = rows["log_prob"].inputs["x"], rows["sample"].outputs["x"]
    np.testing.assert_array_equal(events, answers)


def test_flows_have_p_values_and_signatures_can_be_left_out(tmp_path):
    flow = flows.real_nvp((2,), 2, (8,), num_values=9)
    flow.adapt(np.random.default_rng(0).integers(0, 9, [100, 2]))
    integers = np.random.default_rng(1).integers(0, 9, [50, 2])
    directory = export(
        flow,
        tmp_path,
        calibration=integers,
        signatures=("log_prob", "anomaly_score"),
    )
    card = json.loads((directory / "assets.extra" / "flow_card.json").read_text())
    assert set(card["signatures"]) == {"log_prob", "anomaly_score"}
    rows = golden.load(directory)["log_prob"].inputs["x"]  # samples all the same
    assert (rows - 0.5 == np.floor(rows)).all() and len(np.unique(rows)) > 2
    runtime = Runtime(directory)
    x = np.random.default_rng(2).integers(0, 9, [20, 2])
    got = runtime.ask("anomaly_score", {"x": x + 0.5})
    far = runtime.ask("anomaly_score", {"x": np.float32([[0.001, 8.999], [-3, 0]])})
    runtime.close()
    inner = flow.flow
    scores = -inner.log_prob(integers + np.float32(0.5)).numpy()
    mine = -inner.log_prob(x + np.float32(0.5)).numpy()
    np.testing.assert_allclose(got["score"], mine, rtol=1e-5, atol=1e-5)
    counts = (scores[None] > mine[:, None] - 1e-4).sum(axis=1)
    np.testing.assert_allclose(got["p_value"], (1 + counts) / 51, atol=1e-6)
    assert far["valid"].tolist() == [True, False] and np.isnan(far["p_value"][1])


def test_options_that_cannot_be_used_are_refused(tmp_path):
    flow, rows = flows.gaussian((2,)), np.zeros([5, 2])
    conditional = flows.maf((2,), 1, (4,), context_shape=(3,))
    whole = flows.real_nvp((2,), 1, (4,), num_values=9)
    for model, options, match in [
        (flow, {"labels": True}, "context_shape is None"),
        (flow, {"signatures": ("sample",)}, "signatures needs log_prob"),
        (flow, {"signatures": ("log_prob", "anomaly_score")}, "must be some of"),
        (flow, {"signatures": "log_prob"}, "must be some of"),
        (flow, {"calibration": np.zeros([5, 3])}, r"calibration must be \[N, 2\]"),
        (
            flow,
            {"calibration": rows * np.nan},
            "calibration must hold finite numbers, row 0",
        ),
        (flow, {"calibration": rows + 1e30}, "Calibration event 0 has no finite"),
        (flow, {"calibration": rows * 1j}, "must hold real numbers, got complex128"),
        (flow, {"calibration": [["a", "b"]]}, "must hold real numbers, got <U1"),
        (flow, {"calibration": [[1.0, 2.0], [3.0]]}, "calibration is no array"),
        (flow, {"calibration": np.ma.masked_less(rows, 1)}, "is a masked array"),
        (flow, {"signatures": 5}, "must be some of"),
        (flow, {"signatures": [["log_prob"]]}, "must be some of"),
        (
            whole,
            {"calibration": rows + 0.5},
            "whole numbers from 0 to 8, row 0 has 0.5",
        ),
        (whole, {"calibration": rows - 1}, "whole numbers from 0 to 8, row 0 has -1"),
        (whole, {"examples": rows + 9}, "whole numbers from 0 to 8, row 0 has 9"),
        (whole, {"examples": rows * np.nan}, "examples must hold whole numbers"),
        (flow, {"calibration_contexts": rows}, r"calibration must be \[N, 2\]"),
        (
            flow,
            {"calibration": rows, "signatures": ("log_prob",)},
            "which signatures= leaves out",
        ),
        (conditional, {"calibration": rows}, "calibration_contexts go with"),
        (
            conditional,
            {"calibration": rows, "calibration_contexts": np.zeros([4, 3])},
            "5 events and 4 contexts",
        ),
        (
            conditional,
            {"labels": True, "contexts": np.full([2, 3], 0.5)},
            "indicators of classes",
        ),
        (
            flows.reversible((2,), 1, (4,)),
            {"calibration": rows},
            "no exact log_prob",
        ),
    ]:
        with pytest.raises(ValueError, match=match):
            export(model, tmp_path / "base", **options)
