"""Messages of the wire, judged by TensorFlow's and TF Serving's own classes."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfp_flows.serving import golden, messages, warm_up, wire

ARRAYS = {
    "float32": np.float32([[1.5, -2.0, np.inf]]),
    "float64": np.array([[1e300], [-0.0]]),
    "int32": np.int32([[-1, 2**31 - 1]]),
    "int64": np.int64([[-(2**63), 2**63 - 1], [7, 0]]),
    "bool": np.array([True, False]),
    "empty": np.zeros([0, 3], np.float32),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_are_what_tensorflow_reads_and_writes(name):
    array = ARRAYS[name]
    theirs = tensor_pb2.TensorProto.FromString(messages.tensor(array))
    np.testing.assert_array_equal(tf.make_ndarray(theirs), array)
    for made in (
        tf.make_tensor_proto(array),
        tf.make_tensor_proto(array.tolist(), dtype=array.dtype, shape=array.shape),
    ):
        got = messages.to_array(made.SerializeToString())
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_constants_are_what_tensorflow_reads(dtype):
    message = messages.constant(-3, (2, 5), dtype)
    theirs = tensor_pb2.TensorProto.FromString(message)
    wanted = np.full([2, 5], -3, dtype)
    np.testing.assert_array_equal(tf.make_ndarray(theirs), wanted)
    np.testing.assert_array_equal(messages.to_array(message), wanted)


def test_requests_and_answers_are_what_tf_serving_reads():
    apis = pytest.importorskip("tensorflow_serving.apis")
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    assert apis is not None
    inputs = {"x": ARRAYS["float32"], "seed": ARRAYS["int64"]}
    for asked in (
        messages.Request("digits", "sample", inputs, version=2**40),
        messages.Request("digits", "log_prob", inputs, label="canary"),
    ):
        message = messages.request(asked)
        theirs = predict_pb2.PredictRequest.FromString(message)
        spec = theirs.model_spec
        assert (spec.name, spec.signature_name) == asked[:2]
        assert (spec.version.value or None) == asked.version
        assert (spec.version_label or None) == asked.label
        for name, value in inputs.items():
            np.testing.assert_array_equal(tf.make_ndarray(theirs.inputs[name]), value)
        back = messages.to_request(theirs.SerializeToString())
        assert (back.version, back.label) == (asked.version, asked.label)
        assert set(back.inputs) == set(inputs)
        log = prediction_log_pb2.PredictionLog.FromString(messages.log(message))
        assert log.predict_log.request == theirs
    answer = predict_pb2.PredictResponse.FromString(messages.response(inputs))
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["x"]), inputs["x"])
    back = messages.to_outputs(answer.SerializeToString())
    np.testing.assert_array_equal(back["seed"], inputs["seed"])


def test_records_are_what_tensorflow_reads(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    x = np.arange(8 * 3, dtype=np.float32).reshape([8, 3])
    valid = np.arange(8) > 1
    rows = {"log_prob": golden.Golden({"x": x}, {"valid": valid})}
    logs = warm_up.records("digits", rows, 1000)
    warm_up.write(tmp_path, logs)
    path = tmp_path / warm_up.FILE_NAME
    assert path.stat().st_size < 500
    theirs = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    assert list(theirs) == logs
    one, many = warm_up.read(tmp_path)
    assert (one.model, one.signature) == ("digits", "log_prob")
    np.testing.assert_array_equal(one.inputs["x"], x[2:3])  # the first that is valid
    assert many.inputs["x"].shape == (1000, 3)


def test_damaged_records_are_refused(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    rows = {"f": golden.Golden({"x": np.ones([8, 1])}, {"valid": np.ones(8, bool)})}
    logs = warm_up.records("digits", rows, 2)
    warm_up.write(tmp_path, logs)
    path = tmp_path / warm_up.FILE_NAME
    good = path.read_bytes()
    for place in (0, 9, 20, len(good) - 1):
        damaged = bytearray(good)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="another checksum"):
            warm_up.read(tmp_path)
    path.write_bytes(good[:-3])
    with pytest.raises(ValueError, match="another checksum"):
        warm_up.read(tmp_path)
    warm_up.write(tmp_path, logs * 501)
    with pytest.raises(ValueError, match="1002 records"):
        warm_up.read(tmp_path)
    warm_up.write(tmp_path, [wire.encode((2, b""))])
    with pytest.raises(ValueError, match="no Predict"):
        warm_up.read(tmp_path)
