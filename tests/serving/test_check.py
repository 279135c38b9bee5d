"""The gate as its users meet it: a command that passes, or says what is wrong."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.serving.conftest import environment, export
from tfp_flows import flows, serving
from tfp_flows.serving import (
    batching_file,
    card_check,
    checkpoint,
    golden,
    manifest,
    messages,
    meta_graph,
    warm_up,
)

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("check")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    flow = flows.real_nvp((4,), 2, (16, 16))  # some weights are too large for the graph
    laws.randomize(flow)
    return export(flow, tmp_path_factory.mktemp("base"))


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


def check(directory):
    return subprocess.run(
        [sys.executable, "-m", "tfp_flows.serving.check", str(directory)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def refused(directory):
    """Returns the one line with which the gate refuses a directory."""
    done = check(directory)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"FAILED: {directory}: ")
    return line


def test_a_good_model_passes_with_one_line(exported):
    done = check(exported)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"OK: {exported}: 5 signatures")


def python(code, directory):
    """Runs code in a process of its own, with a model's directory as its argument."""
    return subprocess.run(
        [sys.executable, "-c", code, str(directory)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_gate_runs_without_tensorflows_python(exported):
    code = """
import json, runpy, sys
sys.argv = ["check", sys.argv[1]]
try:
    runpy.run_module("tfp_flows.serving.check", run_name="__main__", alter_sys=True)
except SystemExit as done:
    print(json.dumps([done.code, sorted(sys.modules)]))
"""
    done = python(code, exported)
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0 and "tfp_flows.serving.c_api" in modules
    roots = {name.partition(".")[0] for name in modules}
    assert not roots & {"tensorflow", "keras", "tensorflow_probability", "tf_keras"}


def test_it_refuses_to_disable_xla_beside_tensorflows_python(exported):
    from tfp_flows.serving.check import check_directory

    with pytest.raises(serving.CheckError, match="a process of its own"):
        check_directory(exported)


def test_what_is_missing_is_named(exported, copy, tmp_path):
    assert "no such directory" in refused(tmp_path / "nowhere")
    assert "did you mean its version 1" in refused(exported.parent)
    (copy / "assets.extra" / "golden.npz").unlink()
    assert "golden.npz' is missing" in refused(copy)
    (copy / "saved_model.pb").unlink()
    assert "no saved_model.pb" in refused(copy)


def test_a_changed_byte_of_any_file_is_one_line(copy):
    for path in sorted(p for p in copy.rglob("*") if p.is_file()):
        good = path.read_bytes()
        damaged = bytearray(good)
        damaged[len(good) // 3] ^= 4
        path.write_bytes(damaged)
        line = refused(copy)
        assert "damaged" in line and "Traceback" not in line, path
        path.write_bytes(good)
    assert check(copy).returncode == 0


def test_damage_under_right_checksums_is_one_line(copy):
    """Whoever writes the checksums anew is not believed either."""
    for name, word in [
        ("assets.extra/golden.npz", "golden.npz is damaged"),
        ("assets.extra/flow_card.json", "flow_card.json is damaged"),
        ("saved_model.pb", "saved_model.pb is damaged"),
        ("variables/variables.index", "variables.index is damaged"),
    ]:
        good = (copy / name).read_bytes()
        (copy / name).write_bytes(good[: len(good) // 2] if "npz" in name else b"no")
        manifest.write(copy)
        assert word in refused(copy)
        (copy / name).write_bytes(good)


def test_other_weights_are_a_mismatch(copy):
    path = next((copy / "variables").glob("*.data-*"))
    data = bytearray(path.read_bytes())
    rows = golden.load(copy)
    rows["log_prob"].outputs["log_prob"][3] += 0.01
    golden.save(copy, rows)
    manifest.write(copy)
    line = refused(copy)
    assert "log_prob: golden rows replayed in a batch of 8: log_prob[3] is" in line
    data[: len(data) // 4] = bytes(len(data) // 4)
    path.write_bytes(data)
    assert "FAILED" in refused(copy)


def test_a_card_that_promises_larger_integers_is_refused(tmp_path):
    flow = flows.real_nvp((4,), 2, (8,), num_values=17)
    laws.randomize(flow)
    directory = export(flow, tmp_path)
    path = directory / card_check.FILE_NAME
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"num_values": 19}))
    manifest.write(directory)
    line = refused(directory)
    assert "with 18 in x is called invalid, the card says num_values 19" in line


def _save_card(directory):
    """Writes a card that says the truth of a module, and the checksums."""
    content = (directory / "saved_model.pb").read_bytes()
    graph = meta_graph.of_saved_model(content)
    signatures = card_check.table(meta_graph.signatures(graph))
    x = signatures["log_prob"]["inputs"]["x"]
    card = {
        "schema_version": card_check.SCHEMA_VERSION,
        "version": 1,
        "kind": "flow",
        "event_shape": [4],
        "context_shape": None,
        "num_values": None if x["dtype"] == "float32" else 1000,
        "signatures": {"log_prob": signatures["log_prob"]},
        "num_parameters": 3,
        "stored": checkpoint.totals(checkpoint.variables(directory)),
        "library_versions": {"tensorflow": tf.__version__},
        "max_batch_size": 4,
    }
    batching_file.write(directory, 4)
    warm_up.write(directory, warm_up.records("module", golden.load(directory), 4))
    path = directory / "assets.extra" / "flow_card.json"
    path.write_text(json.dumps(card))
    manifest.write(directory)


def _save_module(directory, function, root, dtype=tf.float32):
    """Saves a module by hand with golden rows of what Python says."""
    spec = tf.TensorSpec([None, 4], dtype, name="x")
    root.serve = tf.function(function, input_signature=[spec], autograph=False)
    root.num_parameters = num_parameters
    both = {"log_prob": root.serve, "serving_default": root.serve}
    tf.saved_model.save(root, str(directory), signatures=both)
    x = np.random.default_rng(0).standard_normal([8, 4])
    x = np.abs(3.0 * x).astype(dtype.as_numpy_dtype)
    loaded = tf.saved_model.load(str(directory)).signatures["log_prob"]
    outputs = {k: v.numpy() for k, v in loaded(x=tf.constant(x)).items()}
    golden.save(directory, dict.fromkeys(both, golden.Golden({"x": x}, outputs)))
    _save_card(directory)


def _outputs(value):
    valid = tf.reduce_all(tf.math.is_finite(value), -1)
    return {"value": value, "valid": valid}


_ASKED = """
import sys
import numpy as np
from tfp_flows.serving import c_api
session = c_api.Session(sys.argv[1])
try:
    session.run("log_prob", {"x": np.ones([2, 4], np.float32)})
except c_api.CApiError as error:
    print(error)
"""


def test_a_module_that_holds_keras_layers_is_caught(tmp_path):
    root = tf.Module()
    root.layer = keras.layers.Dense(3)
    root.layer.build([None, 4])
    # TensorFlow's Python loads it and answers; only the C++ runtime cannot.
    _save_module(
        tmp_path, lambda x: _outputs(root.layer(tf.ensure_shape(x, [None, 4]))), root
    )
    assert "the graph has 2 and the checkpoint 1" in refused(tmp_path)
    done = python(_ASKED, tmp_path)
    assert "Could not find variable" in done.stdout


def test_a_module_with_raw_variables_passes(tmp_path):
    root = tf.Module()
    root.weight = tf.Variable(tf.ones([4, 3]))
    _save_module(
        tmp_path, lambda x: _outputs(tf.ensure_shape(x, [None, 4]) @ root.weight), root
    )
    assert check(tmp_path).returncode == 0


def test_unchecked_shapes_are_caught(tmp_path):
    _save_module(tmp_path, lambda x: _outputs(2.0 * x), tf.Module())
    assert "of a wrong shape" in refused(tmp_path)


def test_rows_that_see_their_neighbours_are_caught(tmp_path):
    _save_module(
        tmp_path,
        lambda x: _outputs(tf.ensure_shape(x, [None, 4]) - tf.reduce_mean(x, axis=0)),
        tf.Module(),
    )
    assert "golden rows replayed in a batch of 1" in refused(tmp_path)


@pytest.mark.parametrize("dtype, bad", [(tf.float32, "NaN"), (tf.int32, "-1")])
def test_bad_rows_that_are_called_valid_are_caught(tmp_path, dtype, bad):
    def function(x):
        x = tf.ensure_shape(x, [None, 4])
        return {"value": x, "valid": tf.fill(tf.shape(x)[:1], True)}

    _save_module(tmp_path, function, tf.Module(), dtype)
    assert f"a row with {bad} in x is called valid" in refused(tmp_path)


def test_a_warm_up_that_would_fail_is_refused(copy):
    golden_rows = golden.load(copy)
    good = warm_up.records("model", golden_rows, 32)
    x = golden_rows["log_prob"].inputs["x"]
    for signature, inputs, words in [
        ("nothing", {"x": x}, "warm-up record 10 (nothing) fails"),
        ("log_prob", {"y": x}, "record 10 (log_prob) fails"),
        ("log_prob", {"x": x.astype(np.float64)}, "x is float64, wanted float32"),
        ("log_prob", {"x": x[:1] * np.nan}, "record 10 (log_prob) is not valid"),
        ("log_prob", {"x": x}, "asks log_prob for [1, 8, 32] rows"),
    ]:
        asked = messages.Request("model", signature, inputs)
        warm_up.write(copy, [*good, messages.log(messages.request(asked))])
        manifest.write(copy)
        assert words in refused(copy)


def test_a_warm_up_with_a_tail_is_one_line(copy):
    with (copy / warm_up.FILE_NAME).open("ab") as file:
        file.write(b"abc")
    manifest.write(copy)
    assert "is damaged: the record at byte" in refused(copy)


def test_a_card_with_another_number_of_classes_is_refused(tmp_path):
    flow = flows.real_nvp((4,), 2, (8,), context_shape=(3,))
    laws.randomize(flow)
    directory = export(flow, tmp_path, labels=True)
    path = directory / card_check.FILE_NAME
    card = json.loads(path.read_text())
    for shape, words in [
        ([5], "a row with 4 in label is called invalid, the card says context_shape 5"),
        ([2], "a row with 2 in label is called valid"),
        ([], "log_prob takes a label, the card says []"),
    ]:
        path.write_text(json.dumps(card | {"context_shape": shape}))
        manifest.write(directory)
        assert words in refused(directory)


def test_no_rows_are_no_error(tmp_path):
    def function(x):
        x = tf.ensure_shape(x, [None, 4])
        return _outputs(x + tf.minimum(tf.cast(tf.argmax(x, 0), tf.float32), 0.0))

    _save_module(tmp_path, function, tf.Module())
    assert "fails on a batch of 0" in refused(tmp_path)


def test_unequal_numbers_of_rows_are_caught(tmp_path):
    root = tf.Module()
    spec = [tf.TensorSpec([None, 4], name="x"), tf.TensorSpec([None, 1], name="c")]

    def function(x, c):
        return _outputs(tf.ensure_shape(x, [None, 4]) + tf.ensure_shape(c, [None, 1]))

    root.serve = tf.function(function, input_signature=spec, autograph=False)
    root.num_parameters = num_parameters
    both = {"log_prob": root.serve, "serving_default": root.serve}
    tf.saved_model.save(root, str(tmp_path), signatures=both)
    x, c = np.eye(8, 4, dtype=np.float32), np.ones([8, 1], np.float32)
    outputs = {key: value.numpy() for key, value in root.serve(x, c).items()}
    rows = golden.Golden({"x": x, "c": c}, outputs)
    golden.save(tmp_path, dict.fromkeys(both, rows))
    _save_card(tmp_path)
    assert "1 rows of x beside 8 of the others is answered" in refused(tmp_path)


def test_a_network_that_writes_files_is_refused_before_it_is_loaded(tmp_path):
    path = tmp_path / "written"

    class Leaking(keras.layers.Layer):
        def call(self, x):
            with tf.control_dependencies([tf.io.write_file(str(path), "x")]):
                return tf.identity(x)

    layer = Leaking(name="leaking")
    _save_module(
        tmp_path / "1",
        lambda x: _outputs(layer(tf.ensure_shape(x, [None, 4]))),
        tf.Module(),
    )
    path.unlink()  # by the golden rows
    line = refused(tmp_path / "1")
    assert "WriteFile (reads or writes files) in leaking" in line
    assert not path.exists()


def test_a_session_leaves_numpy_alone(exported):
    """Libraries that showed their symbols to all made NumPy's generators crash."""
    code = """
import sys
from tfp_flows.serving import c_api
session = c_api.Session(sys.argv[1])
import numpy as np
print(np.random.default_rng(5).integers(1000), np.random.RandomState(5).randint(1000))
"""
    done = python(code, exported)
    mine = (
        np.random.default_rng(5).integers(1000),
        np.random.RandomState(5).randint(1000),
    )
    assert tuple(map(int, done.stdout.split())) == mine


def test_usage_errors_exit_with_two():
    done = subprocess.run(
        [sys.executable, "-m", "tfp_flows.serving.check"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "directory" in done.stderr


@tf.function(input_signature=[], autograph=False)
def num_parameters():
    return tf.constant(3, tf.int64)
