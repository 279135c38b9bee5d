"""The reader of the wire format, judged by TensorFlow's own protobuf classes."""

import keras
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfp_flows.serving import meta_graph, operations

_STATE = tf.Variable(0.0)


def _save(tmp_path, function, spec):
    root = tf.Module()
    root.state = _STATE
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


REFUSED = {
    "AssignAddVariableOp (keeps state": lambda x: _assigned(x),
    "Timestamp (reads the time": lambda x: x + tf.cast(tf.timestamp(), tf.float32),
    "SaveV2 (reads or writes files": lambda x: _done(
        x,
        tf.raw_ops.SaveV2(
            prefix="p", tensor_names=["t"], shape_and_slices=[""], tensors=[x]
        ),
    ),
    "WriteFile (reads or writes files": lambda x: _done(x, tf.io.write_file("f", "x")),
    "DebugIdentityV3 (debugs": lambda x: tf.raw_ops.DebugIdentityV3(input=x),
    "StatelessRandomNormalV2 (draws": lambda x: (
        x + tf.random.stateless_normal(tf.shape(x), [1, 2])
    ),
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


def _assigned(x):
    # Kept alive by the module's saved function.
    return _done(x, _STATE.assign_add(1.0))


def _done(x, op):
    with tf.control_dependencies([op]):
        return tf.identity(x)


def _asserted(x):
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), [x])]):
        return tf.identity(x)


def _printed(x):
    with tf.control_dependencies([tf.print(x)]):
        return tf.identity(x)


@pytest.mark.parametrize("op", REFUSED)
@pytest.mark.parametrize("inside", ["function", "branch", "loop"])
def test_refused_ops_are_found_wherever_they_are(tmp_path, op, inside):
    body = REFUSED[op]
    functions = {
        "function": body,
        "branch": lambda x: tf.cond(tf.shape(x)[0] > 5, lambda: body(x), lambda: x),
        "loop": lambda x: tf.map_fn(lambda row: tf.ensure_shape(body(row), [3]), x),
    }
    if inside == "loop" and op == "RandomShuffle":
        pytest.skip("same op, one rank lower")
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    graph = _save(tmp_path, lambda x: {"a": functions[inside](x)}, spec)
    found = meta_graph.refused(graph.SerializeToString())
    assert any(line.startswith(op) for line in found)


def test_loops_explicit_false_and_saving_itself_are_allowed(tmp_path):
    def function(x):
        inner = tf.function(lambda v: 2 * v, jit_compile=False)
        return {"a": inner(x) + tf.map_fn(lambda row: row + _STATE, x)}

    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    graph = _save(tmp_path, function, spec)
    assert meta_graph.refused(graph.SerializeToString()) == []
    assert meta_graph.variables(graph.SerializeToString()) == [(1, ())]
    wanted = graph.meta_info_def.tensorflow_version
    assert meta_graph.tensorflow_version(graph.SerializeToString()) == wanted


def test_saving_is_refused_where_a_request_leads_to_it(tmp_path):
    """The functions that save a model are fine, unless a signature calls one."""
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    graph = _save(tmp_path, lambda x: {"a": x + _STATE}, spec)
    saver = next(
        f.signature.name
        for f in graph.graph_def.library.function
        if "traced_save" in f.signature.name
    )
    for node in graph.graph_def.node:
        if (
            node.op == "StatefulPartitionedCall"
            and "save" not in node.attr["f"].func.name
        ):
            node.attr["f"].func.name = saver
    found = meta_graph.refused(graph.SerializeToString())
    assert any(line.startswith("SaveV2 (reads or writes files)") for line in found)


_LAYERS = {
    "dense": (lambda: keras.layers.Dense(3, activation="gelu"), [6]),
    "conv": (lambda: keras.layers.Conv2D(3, 3, padding="same", strides=2), [6, 6, 2]),
    "transposed": (lambda: keras.layers.Conv2DTranspose(3, 3), [6, 6, 2]),
    "norm": (lambda: keras.layers.LayerNormalization(), [6]),
    "batch norm": (lambda: keras.layers.BatchNormalization(), [6]),
    "group norm": (lambda: keras.layers.GroupNormalization(2), [6, 6, 2]),
    "pooling": (lambda: keras.layers.MaxPooling2D(), [6, 6, 2]),
    "upsampling": (lambda: keras.layers.UpSampling2D(), [6, 6, 2]),
    "lstm": (lambda: keras.layers.LSTM(3), [5, 2]),
    "dropout": (lambda: keras.layers.Dropout(0.5), [6]),
    "einsum": (lambda: keras.layers.EinsumDense("ab,bc->ac", 3), [6]),
}


@pytest.mark.parametrize("name", _LAYERS)
def test_layers_of_keras_are_allowed(name):
    make, shape = _LAYERS[name]
    layer, spec = make(), tf.TensorSpec([None, *shape], tf.float32)
    layer.build([None, *shape])
    graph = tf.function(layer, autograph=False).get_concrete_function(spec).graph
    definition = graph.as_graph_def()
    bodies = [f.node_def for f in definition.library.function]
    used = {node.op for nodes in [definition.node, *bodies] for node in nodes}
    assert used - operations.ALLOWED == set()


def test_damaged_bytes_are_refused():
    with pytest.raises(ValueError, match="damaged"):
        meta_graph.signatures(b"\x2b\x00")
