"""What data may come as: one clear error for each form that holds no events."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfp_flows import FlowModel, flows
from tfp_flows.training import NonFiniteLossError

X = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
CODES = np.arange(16).reshape(8, 2) % 5


@pytest.fixture(scope="module")
def real():
    model = FlowModel(flows.real_nvp((2,), 1, (4,)))
    model.flow.adapt(X)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return model


@pytest.fixture(scope="module")
def integers():
    model = FlowModel(flows.maf((2,), 1, (4,), num_values=5))
    model.flow.adapt(CODES)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return model


REFUSED = {
    "text": (np.array([["a", "b"]]), "holds text, wanted real numbers"),
    "text in a list": ([["1", "2"]], "holds text"),
    "text in a tensor": (tf.constant([["a", "b"]]), "holds text"),
    "dates": (np.zeros((3, 2), "datetime64[s]"), "holds dates"),
    "complex": (X.astype("complex64"), "complex numbers.* real and imaginary parts"),
    "objects": (np.array([[1.0, None]]), "Python objects.*float32"),
    "sparse": (tf.sparse.from_dense(X), "came as a SparseTensor.*to_dense"),
    "SciPy's": (sparse.csr_matrix(X), r"came as a csr_matrix.*toarray"),
    "ragged": (tf.ragged.constant([[1.0, 2.0], [1.0]]), "RaggedTensor.*to_tensor"),
    "uneven lists": ([[1.0, 2.0], [1.0]], "rows have different lengths"),
    "masked": (np.ma.masked_array(X, mask=X > 1), "masked entries"),
    "dict": ({"a": X[:, 0], "b": X[:, 1]}, "came as a dict.*beside each other"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_of_real_numbers_is_refused_by_name(name, real):
    data, message = REFUSED[name]
    for use in (real.fit, real.evaluate, real.predict, real.flow.log_prob):
        with pytest.raises(ValueError, match=message):
            use(data)
    with pytest.raises(ValueError, match=message):
        real.fit(X, validation_data=(data,))


@pytest.mark.parametrize("name", ["text", "complex", "sparse", "dict"])
def test_data_sets_of_them_are_refused_alike(name, real):
    data, message = REFUSED[name]
    batches = tf.data.Dataset.from_tensor_slices(data).batch(2)
    with pytest.raises(ValueError, match=message):
        real.fit(batches, shuffle=False, verbose=0)


def test_contexts_are_looked_at_too():
    flow = flows.real_nvp((2,), 1, (4,), context_shape=(1,))
    model = FlowModel(flow)
    model.compile("sgd")
    with pytest.raises(ValueError, match="context came as a dict"):
        model.fit({"a": X[:, :1]}, X)
    pairs = tf.data.Dataset.from_tensor_slices(({"a": X[:, :1]}, X)).batch(4)
    with pytest.raises(ValueError, match="context came as a dict"):
        model.fit(pairs)


def test_no_data_and_batches_of_nothing_are_refused(real):
    for use in (real.fit, real.evaluate, real.predict):
        for nothing in (X[:0], None, []):
            with pytest.raises(ValueError, match="not one event"):
                use(nothing)
        for size in (0, -1, 2.5):
            with pytest.raises(ValueError, match=f"positive integer, got {size}"):
                use(X, batch_size=size)
    with pytest.raises(ValueError, match="positive integer, got 0"):
        real.fit(X, validation_split=0.5, validation_batch_size=0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.where(CODES == 4, 7, CODES), r"row 2, 4, 7 .* integers 0 \.\. 4.* holds 7"),
        (np.where(CODES == 4, -1, CODES), "holds -1"),
        (CODES + np.where(CODES == 4, 0.5, 0.0), r"holds 4\.5.* round the data"),
        (np.where(CODES == 4, np.nan, CODES), "are not finite there, in x"),
    ],
)
def test_what_is_no_code_of_an_integer_model_is_named_by_row(bad, message, integers):
    with pytest.raises(NonFiniteLossError, match=message):
        integers.fit(bad, shuffle=False, verbose=0)
    with pytest.warns(UserWarning, match="some of them have no finite log_prob"):
        integers.evaluate(bad, verbose=0)
    rows = (CODES == 4).any(axis=1)
    np.testing.assert_array_equal(~np.isfinite(integers.flow.log_prob(bad)), rows)


class Frame:
    """All that is used of a data frame."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return self._values.astype(dtype or self._values.dtype)


@pytest.mark.parametrize("form", [np.ndarray.tolist, list, Frame])
def test_lists_and_data_frames_are_arrays(form, real):
    wanted, data = -real.flow.log_prob(X).numpy(), form(X)
    history = real.fit(data, validation_data=(data,), verbose=0).history
    for name in ("nll", "val_nll"):
        np.testing.assert_allclose(history[name], wanted.mean(), rtol=1e-5)
    np.testing.assert_allclose(real.predict(data, verbose=0), -wanted, rtol=1e-5)


def test_data_frames_are_arrays():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"], index=np.arange(8) + 7)
    weights = pandas.Series(np.ones(8), index=frame.index)
    model = FlowModel(flows.real_nvp((1,), 1, (4,), context_shape=(1,)))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    held_out = frame[["a"]], frame[["b"]]
    history = model.fit(
        *held_out, sample_weight=weights, validation_data=held_out, verbose=0
    ).history
    assert np.isfinite([history["nll"], history["val_nll"]]).all()
    np.testing.assert_allclose(
        model.flow.log_prob(frame[["b"]], context=frame[["a"]]),
        model.flow.log_prob(X[:, 1:], context=X[:, :1]),
    )
