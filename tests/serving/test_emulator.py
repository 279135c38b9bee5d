"""The rules of the emulated server, and what of them a model has to bear.

Expectations are what TF Serving's own JSON, request and batching code was seen to do.
"""

import json

import numpy as np
import pytest

from tests.serving.emulator import rest_json
from tests.serving.emulator.model import Refused
from tfp_flows import serving
from tfp_flows.serving import meta_graph, warm_up

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("signatures")

ROWS = meta_graph.Signature(
    {
        "x": meta_graph.TensorInfo("x:0", 1, (-1, 2)),
        "seed": meta_graph.TensorInfo("s:0", 9, (-1,)),
    },
    {},
)
GOOD = {"x": [1.5, 2], "seed": 2**63 - 1}


def read(**body):
    return rest_json.read(json.dumps(body), ROWS)


def test_rows_and_columns_are_the_same():
    rows, is_rows = read(instances=[GOOD, GOOD])
    columns, is_columns = read(inputs={"x": [[1.5, 2]] * 2, "seed": [2**63 - 1] * 2})
    assert is_rows and not is_columns
    for name in rows:
        np.testing.assert_array_equal(rows[name], columns[name])
    assert rows["x"].dtype == np.float32 and rows["seed"].dtype == np.int64
    assert rows["seed"].tolist() == [2**63 - 1] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"instances": []},
        {"instances": [GOOD], "inputs": GOOD},
        {},
        {"instances": [{**GOOD, "more": 1}]},
        {"instances": [{"x": [1.0, 2.0]}]},
        {"inputs": {"x": [[1.0, 2.0]]}},
        {"inputs": {"x": [[None, 2.0]], "seed": [1]}},
        {"inputs": {"x": [["1", 2.0]], "seed": [1]}},
        {"inputs": {"x": [[1.0, 2.0], [1.0]], "seed": [1, 2]}},
        {"inputs": {"x": [[1.0, 2.0]], "seed": [1.5]}},
        {"inputs": {"x": [[1.0, 2.0]], "seed": [2**63]}},
    ],
)
def test_what_a_server_refuses_is_refused(body):
    with pytest.raises(Refused):
        read(**body)


def test_what_a_server_lets_pass_passes():
    extra, _ = read(inputs={"x": [[1, 2]], "seed": [1], "more": 1})
    assert set(extra) == {"x", "seed"}
    body = '{"inputs": {"x": [[NaN, 1e39]], "seed": [-1]}}'
    inputs, _ = rest_json.read(body, ROWS)
    assert np.isnan(inputs["x"][0, 0]) and inputs["x"][0, 1] == np.inf
    assert "NaN" in rest_json.write({"a": np.float32([np.nan])}, False)


def test_floats_survive_json_exactly():
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    back = json.loads(rest_json.write({"a": x}, is_rows=True))["predictions"]
    np.testing.assert_array_equal(np.float32(back), x)


def request(start, count, label=1):
    return {
        "seed": serving.seeds(9, count, start),
        "temperature": np.ones(count, np.float32),
        "label": np.full(count, label, np.int32),
    }


def test_joined_and_padded_requests_have_the_same_answers(batching, classes):
    _, ask, _, _ = classes
    requests = [request(0, 3), request(3, 1, label=0), request(4, 2)]
    batching.asked.clear()
    joined = batching.together("sample", requests)
    assert batching.asked == [("sample", 8)]
    for asked, answer in zip(requests, joined, strict=True):
        wanted = ask("sample", asked)
        np.testing.assert_array_equal(answer["x"], wanted["x"])
        np.testing.assert_allclose(answer["log_prob"], wanted["log_prob"], rtol=1e-5)


def test_bad_values_of_one_client_harm_no_other(batching):
    good = request(0, 2)
    bad = {**request(5, 2, label=7), "temperature": np.float32([np.nan, -1.0])}
    wanted = batching.predict("sample", good)
    answers = batching.together("sample", [good, bad])
    np.testing.assert_array_equal(answers[0]["x"], wanted["x"])
    assert not answers[1]["valid"].any()


def test_bad_requests_are_refused_by_themselves(batching):
    good = request(0, 2)
    short = {**good, "temperature": good["temperature"][:1]}
    large = request(0, 33)
    double = {**good, "temperature": good["temperature"].astype(np.float64)}
    less = {key: value for key, value in good.items() if key != "label"}
    answers = batching.together("sample", [good, short, large, double, less])
    assert answers[0]["valid"].all()
    assert [answer.code for answer in answers[1:]] == ["INVALID_ARGUMENT"] * 4


def test_every_record_of_the_warm_up_succeeds(batching, classes):
    _, ask, directory, _ = classes
    requests = warm_up.read(directory)
    assert {asked.signature for asked in requests} == set(batching.signatures)
    sizes = set()
    for asked in requests:
        joined = batching.predict(asked.signature, asked.inputs)
        alone = ask(asked.signature, asked.inputs)
        assert set(joined) == set(alone)
        sizes |= {len(joined["valid"]), len(alone["valid"])}
    assert sizes == {1, 32}
