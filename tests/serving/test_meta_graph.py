"""The reader of the wire format, judged by TensorFlow's own protobuf classes."""

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfp_flows.serving import meta_graph


def _save(tmp_path, function, spec):
    root = tf.Module()
    root.function = tf.function(function, input_signature=[spec], autograph=False)
    tf.saved_model.save(root, str(tmp_path), signatures={"f": root.function})
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((tmp_path / "saved_model.pb").read_bytes())
    return model.meta_graphs[0]


def test_signatures_are_what_tensorflow_reads(tmp_path):
    spec = tf.TensorSpec([None, 3, 1], tf.int64, name="x")
    graph = _save(tmp_path, lambda x: {"a": x, "b": x[:, 0] > 2}, spec)
    got = meta_graph.signatures(graph.SerializeToString())
    assert set(got) == {"f"}
    wanted = graph.signature_def["f"]
    for part in ("inputs", "outputs"):
        tensors = getattr(wanted, part)
        assert set(getattr(got["f"], part)) == set(tensors)
        for key, info in getattr(got["f"], part).items():
            dims = tuple(dim.size for dim in tensors[key].tensor_shape.dim)
            assert info == (tensors[key].name, tensors[key].dtype, dims)
    assert got["f"].inputs["x"].shape == (-1, 3, 1)


def test_a_shape_without_rank_is_none(tmp_path):
    graph = _save(tmp_path, lambda x: {"a": x}, tf.TensorSpec(None, tf.float32))
    signature = meta_graph.signatures(graph.SerializeToString())["f"]
    assert signature.outputs["a"].shape is None


BANNED = {
    "RandomStandardNormal": lambda x: x + tf.random.normal(tf.shape(x)),
    "RandomUniform": lambda x: x + tf.random.uniform(tf.shape(x)),
    "RandomShuffle": lambda x: tf.random.shuffle(x),
    "TruncatedNormal": lambda x: x + tf.random.truncated_normal(tf.shape(x)),
    "CheckNumerics": lambda x: tf.debugging.check_numerics(x, "bad"),
    "Assert": lambda x: _asserted(x),
    "PrintV2": lambda x: _printed(x),
    "EagerPyFunc": lambda x: tf.py_function(lambda v: v, [x], tf.float32),
    "PyFunc": lambda x: tf.numpy_function(lambda v: v, [x], tf.float32),
    "ReadFile": lambda x: x + tf.strings.to_number(tf.io.read_file("number")),
    "MatchingFiles": lambda x: (
        x + tf.cast(tf.size(tf.io.matching_files("*")), tf.float32)
    ),
    "jit_compile=True": lambda x: tf.function(lambda v: 2 * v, jit_compile=True)(x),
}


def _asserted(x):
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), [x])]):
        return tf.identity(x)


def _printed(x):
    with tf.control_dependencies([tf.print(x)]):
        return tf.identity(x)


@pytest.mark.parametrize("op", BANNED)
@pytest.mark.parametrize("inside", ["function", "branch", "loop"])
def test_banned_ops_are_found_wherever_they_are(tmp_path, op, inside):
    body = BANNED[op]
    functions = {
        "function": body,
        "branch": lambda x: tf.cond(tf.shape(x)[0] > 5, lambda: body(x), lambda: x),
        "loop": lambda x: tf.map_fn(lambda row: tf.ensure_shape(body(row), [3]), x),
    }
    if inside == "loop" and op == "RandomShuffle":
        pytest.skip("same op, one rank lower")
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    graph = _save(tmp_path, lambda x: {"a": functions[inside](x)}, spec)
    found = meta_graph.banned_ops(graph.SerializeToString())
    assert any(line.startswith(op) for line in found)


def test_stateless_ops_loops_and_explicit_false_are_not_banned(tmp_path):
    def function(x):
        noise = tf.random.stateless_normal(tf.shape(x), [1, 2])
        inner = tf.function(lambda v: 2 * v, jit_compile=False)
        return {"a": inner(x) + noise + tf.map_fn(lambda row: row + 1.0, x)}

    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    graph = _save(tmp_path, function, spec)
    assert meta_graph.banned_ops(graph.SerializeToString()) == []


def test_damaged_bytes_are_refused():
    with pytest.raises(ValueError, match="damaged"):
        meta_graph.signatures(b"\x2b\x00")
