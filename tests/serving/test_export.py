"""Publishing: what stands beside a model, and that a bad one never gets a number."""

import hashlib
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.core.protobuf import saved_model_pb2

from tests import laws
from tests.replicas import mirrored
from tests.serving.conftest import Runtime, environment, export, make
from tfp_flows import flows, serving
from tfp_flows.distributions import Flow, StandardNormal
from tfp_flows.networks.weights.prepared_once import prepared_once
from tfp_flows.serving import (
    exporter,
    flow_endpoints,
    golden,
    meta_graph,
)

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("versions")

tfb = tfp.bijectors


class Doubtful(tfb.Shift):
    """A shift by zero whose inverse passes through a function of ours."""

    raw_variables = ()

    def __init__(self, function):
        super().__init__(tf.zeros([2]))
        self._function = function

    def _inverse(self, y):
        return self._function(super()._inverse(y))


def doubtful(function):
    return Flow(Doubtful(function), StandardNormal((2,)))


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two versions: the first with nothing said, the second with everything."""
    base = tmp_path_factory.mktemp("base") / "digits"
    flow = make("conditional discrete")
    first = export(flow, base)
    examples = np.arange(12).reshape(3, 4)
    second = export(
        flow,
        os.fspath(base),
        version=7,
        examples=examples,
        contexts=np.eye(3),
        nonfinite="sentinel",
        card={"test_bits_per_dim": np.float32(2.0), "data": {"name": "digits"}},
    )
    return flow, base, first, second


def test_versions_count_up_and_nothing_else_is_left(versions):
    flow, base, first, second = versions
    assert (first, second) == (base / "1", base / "7")
    third = export(flow, base)
    assert third == base / "8"
    assert sorted(os.listdir(base)) == ["1", "7", "8"]


def test_models_are_readable_by_the_servers_user(versions):
    *_, second = versions
    umask = os.umask(0)
    os.umask(umask)
    assert second.stat().st_mode & 0o777 == 0o777 & ~umask


def test_golden_rows_are_the_examples(versions):
    *_, second = versions
    rows = golden.load(second)
    assert set(rows) == {
        *("bits_per_dim", "decode", "encode", "log_prob", "sample", "serving_default")
    }
    assert all(len(v) == 8 for g in rows.values() for v in g.outputs.values())
    examples = np.arange(12).reshape(3, 4)[np.arange(8) % 3]
    np.testing.assert_array_equal(rows["bits_per_dim"].inputs["x"], examples)
    np.testing.assert_array_equal(rows["log_prob"].inputs["x"], examples + 0.5)
    np.testing.assert_array_equal(
        rows["sample"].inputs["context"], np.eye(3)[np.arange(8) % 3]
    )


def test_the_default_signature_is_log_prob_itself(versions):
    *_, second = versions
    loaded = tf.saved_model.load(str(second))
    assert loaded.signatures["serving_default"] is loaded.signatures["log_prob"]
    graph = meta_graph.of_saved_model((second / "saved_model.pb").read_bytes())
    signatures = meta_graph.signatures(graph)
    assert signatures["serving_default"] == signatures["log_prob"]
    tf.saved_model.experimental.read_fingerprint(str(second))


def test_the_card_tells_the_truth(versions):
    flow, _, _, second = versions
    card = json.loads((second / "assets.extra" / "flow_card.json").read_text())
    assert (card["name"], card["version"]) == ("digits", 7)
    assert (card["event_shape"], card["context_shape"]) == ([4], [3])
    assert card["num_values"] == 17 and card["base"] == "StandardNormal"
    assert card["test_bits_per_dim"] == 2.0 and card["data"] == {"name": "digits"}
    assert card["num_parameters"] == sum(
        v.shape.num_elements() for v in flow.raw_variables
    )
    assert card["signatures"]["bits_per_dim"]["inputs"]["seed"] == {
        "dtype": "int64",
        "shape": [-1, 2],
    }
    rebuilt = flows.build(card["recipe"]["name"], **card["recipe"]["options"])
    assert rebuilt.event_shape == flow.event_shape
    lines = (second / "assets.extra" / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [path for path in second.rglob("*") if path.is_file()]
    assert {second / name for name in sums} == {*files} - {
        second / "assets.extra" / "SHA256SUMS"
    }
    for name, wanted in sums.items():
        assert hashlib.sha256((second / name).read_bytes()).hexdigest() == wanted
    page = (second / "assets.extra" / "MODEL_CARD.md").read_text()
    assert page.startswith("# digits, version 7\n")


def test_invalid_rows_can_hold_a_finite_sentinel(versions):
    *_, second = versions
    runtime = Runtime(second)
    z = np.array([[0.0] * 4, [np.nan] * 4], np.float32)
    context = np.zeros([2, 3], np.float32)
    got = runtime.ask("decode", {"z": z, "context": context})
    runtime.close()
    assert got["valid"].tolist() == [True, False]
    lowest = np.finfo(np.float32).min
    assert got["log_det"][1] == lowest and (got["x"][1] == lowest).all()
    assert np.isfinite(got["x"][0]).all()


def test_a_flow_of_two_replicas_and_lower_precision_is_served(tmp_path):
    with mirrored().scope():
        flow = flows.real_nvp((4,), 2, (8,), network_dtype="mixed_bfloat16")
    laws.randomize(flow)
    directory = export(flow, tmp_path, rtol=1e-2)
    assert {g.rtol for g in golden.load(directory).values()} == {1e-2}


def test_weights_are_written_once_for_all_signatures(tmp_path):
    flow = flows.glow((4, 4, 1), 1, 2, 512, num_values=4)
    directory = export(flow, tmp_path)
    files = [*directory.glob("*.pb"), *directory.glob("variables/*")]
    weights = 4 * sum(v.shape.num_elements() for v in flow.raw_variables)
    assert weights < sum(path.stat().st_size for path in files) < 1.5 * weights


def independent_of_requests(function):
    """Kinds of operations on numbers that no input of the function leads to."""
    graph = function.get_concrete_function().graph
    captured = {id(tensor) for tensor in graph.internal_captures}
    reached, found = set(), []
    for op in graph.get_operations():
        if op.type == "Placeholder":
            reached |= set() if id(op.outputs[0]) in captured else {op}
        elif reached & {tensor.op for tensor in op.inputs}:
            reached.add(op)
        elif any(tensor.dtype.is_floating for tensor in op.outputs):
            found.append(op.type)
    return set(found) - {"Const", "ReadVariableOp"}


@pytest.mark.parametrize("memory", ["activations", "constant"])
def test_a_served_glow_computes_nothing_from_weights_alone(memory):
    flow = flows.glow(
        (4, 4, 1), 2, 2, 4, num_values=4, context_shape=(3,), memory=memory
    )
    plain = tf.function(
        lambda x, context: flow.log_prob(x, context=context),
        [tf.TensorSpec([None, *shape]) for shape in (flow.event_shape, (3,))],
    )
    assert independent_of_requests(plain) >= {"Exp", "Mul"}
    endpoints = exporter.endpoints_of(flow)
    served = prepared_once(endpoints.functions())
    for function in (*endpoints.passes.values(), *served.values()):
        assert not independent_of_requests(function)


def counts(directory, op):
    """How often an operation is in each function of an exported model, sorted."""
    saved = saved_model_pb2.SavedModel.FromString(
        (directory / "saved_model.pb").read_bytes()
    )
    library = saved.meta_graphs[0].graph_def.library.function
    return sorted(sum(node.op == op for node in f.node_def) for f in library)


def test_a_flow_is_held_once_each_way(tmp_path):
    flow = flows.glow((4, 4, 1), 1, 2, 4, num_values=4)
    directory = export(flow, tmp_path)
    # Two steps with two convolutions each, and five signatures that need them.
    assert counts(directory, "Conv2D")[-3:] == [0, 4, 4]


def test_all_couplings_of_mixtures_share_one_loop(tmp_path):
    flow = flows.glow((4, 4, 1), 2, 2, 4, num_values=4, coupling="mixture")
    directory = export(flow, tmp_path)
    # Four steps on events of two sizes.
    assert sum(counts(directory, "StatelessWhile")) == 1
    assert counts(directory, "PartitionedCall")[-1] == 4


def _assert_refused(flow, base, error, match, **arguments):
    with pytest.raises(error, match=match):
        export(flow, base, **arguments)
    assert not base.is_dir() or os.listdir(base) == []


BAD = {
    "CheckNumerics": lambda x: tf.debugging.check_numerics(x, "bad"),
    "RandomStandardNormal": lambda x: x + 0.0 * tf.random.normal(tf.shape(x)),
    "jit_compile=True": lambda x: tf.function(lambda v: v + 1.0, jit_compile=True)(x),
    "golden rows replayed in a batch of 1": lambda x: x - tf.reduce_mean(x, axis=0),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_model_that_may_not_be_served_gets_no_number(tmp_path, reason):
    match = f"Nothing was published: .*{reason}"
    _assert_refused(doubtful(BAD[reason]), tmp_path / "base", serving.CheckError, match)


def test_a_flow_that_gives_nan_gets_no_number(tmp_path):
    flow = doubtful(lambda x: x * np.nan)
    _assert_refused(flow, tmp_path / "base", ValueError, "not finite on any of 8")


def test_an_interrupted_export_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(directory):
        assert directory.parent == tmp_path and directory.name.startswith(".tmp-")
        raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "_run_gate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(doubtful(tf.identity), tmp_path)
    assert os.listdir(tmp_path) == []


def test_bad_arguments_are_refused_before_any_work(tmp_path):
    flow, base = doubtful(tf.identity), tmp_path / "base"
    for arguments, match in [
        ({"nonfinite": "zero"}, "one of \\['nan', 'sentinel'\\], got 'zero'"),
        ({"examples": np.zeros([0, 2])}, r"examples must be \[N, 2\]"),
        ({"examples": np.zeros([3, 5])}, r"got shape \(3, 5\)"),
        ({"contexts": np.zeros([3, 5])}, "takes no context"),
        ({"version": 0}, "positive integer"),
        ({"version": "2"}, "positive integer"),
        ({"version": True}, "positive integer"),
        ({"rtol": "1"}, "at most 0.01, got '1'"),
        ({"nonfinite": ["nan"]}, "one of \\['nan', 'sentinel'\\]"),
        ({"examples": np.full([3, 2], np.nan)}, "examples must hold finite numbers"),
        ({"card": "good"}, "card= takes a dictionary of facts by name, got 'good'"),
        ({"card": {1: 2}}, "card= takes a dictionary of facts by name"),
        ({"card": {"name": 5}}, "card\\['name'\\] must be text, got 5"),
        ({"rtol": 1}, "rtol must be above 0 and at most 0.01, got 1"),
        ({"rtol": 0.0}, "at most 0.01, got 0.0"),
        ({"card": {"score": float("nan")}}, "card\\['score'\\] must be JSON"),
        ({"card": {"version": 3}}, "card\\['version'\\] is written by the export"),
        ({"card": {"num_parameters": 3}}, "is written by the export itself"),
        ({"card": {"model": flow}}, "card\\['model'\\] must be JSON"),
    ]:
        _assert_refused(flow, base, ValueError, match, **arguments)
    with pytest.raises(ValueError, match="needs a Flow .* got Normal"):
        export(tfp.distributions.Normal(0.0, 1.0), base)
    with pytest.raises(ValueError, match="needs events of one known shape"):
        export(flows.reversible((2,), 1, (4,)).joint, base)


def test_every_input_is_checked_inside_the_function():
    endpoints = flow_endpoints.FlowEndpoints(make("vector"))
    functions = endpoints.functions()
    for name, inputs in endpoints.specs().items():
        graph = functions[name].get_concrete_function().graph
        checked = [op for op in graph.get_operations() if op.type == "EnsureShape"]
        assert {f"check_{key}" for key in inputs} <= {op.name for op in checked}


def test_a_flow_that_saw_no_data_is_refused(tmp_path):
    fresh = flows.real_nvp((2,), 1, (4,))
    with pytest.raises(ValueError, match="never adapted .* allow_unadapted=True"):
        serving.export(fresh, tmp_path)
    fresh.adapt(np.random.default_rng(0).standard_normal([50, 2]).astype(np.float32))
    model = flows.pixel_cnn((2, 2, 1), 1, 4, num_values=3, first_kernel_size=3)
    for untrained in (fresh, model):
        with pytest.raises(ValueError, match="never trained"):
            serving.export(untrained, tmp_path)
    assert os.listdir(tmp_path) == []


_TWICE = """
import sys
import keras
from tests import laws
from tests.serving.conftest import export
from tfp_flows import flows
keras.utils.set_random_seed(0)
flow = flows.gaussian((3,))
laws.randomize(flow)
export(flow, sys.argv[1])
"""


def test_two_exports_of_one_flow_are_the_same_files(tmp_path):
    """All but TensorFlow's fingerprint, which holds a random number."""
    found = []
    for hash_seed in "01":
        base = tmp_path / hash_seed / "model"
        subprocess.run(
            [sys.executable, "-c", _TWICE, str(base)],
            env={**environment(), "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        )
        sums = (base / "1" / "assets.extra" / "SHA256SUMS").read_text()
        lines = [line.split("  ") for line in sums.splitlines()]
        found.append({name: digest for digest, name in lines})
        assert found[-1].pop("fingerprint.pb")
    assert found[0] == found[1]


class WithOwnVariable(keras.layers.Layer):
    """Reads a variable that no stack and no layer holds, plainly or in a loop."""

    def __init__(self, inner, in_loop):
        super().__init__()
        self.inner, self.in_loop = inner, in_loop
        self.own = tf.Variable(np.linspace(0.5, 1.5, 2000, dtype=np.float32))

    def call(self, h):
        h = self.inner(h)
        if not self.in_loop:
            return h * tf.reduce_mean(self.own)
        return tf.while_loop(
            lambda i, h: i < 3, lambda i, h: (i + 1, h * self.own[i]), (0, h)
        )[1]


@pytest.mark.parametrize("memory", ["activations", "constant"])
@pytest.mark.parametrize("in_loop", [False, True], ids=["plain", "loop"])
def test_networks_may_read_variables_of_their_own(tmp_path, memory, in_loop):
    def network(*args, **kwargs):
        inner = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
        return WithOwnVariable(inner, in_loop)

    flow = flows.glow((4, 4, 1), 1, 3, network=network, memory=memory)
    laws.randomize(flow)
    export(flow, tmp_path, allow_unadapted=True)  # the gate replays golden rows
