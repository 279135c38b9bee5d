"""What must hold for every bijector and flow, judged by other means than our formula.

Every law takes an object whose weights are already randomised: a flow with
zero-initialised heads is the identity and would pass them all.
"""

import numpy as np
import tensorflow as tf

from tfp_flows.networks.weights.prepared_once import prepared_once
from tfp_flows.purpose import running_for


def randomize(module: tf.Module, seed: int = 0, scale: float = 0.4) -> None:
    """Sets all trained weights to random values of moderate size."""
    rng = np.random.default_rng(seed)
    for variable in module.trainable_variables:
        fan_in = int(np.prod(variable.shape[:-1])) or 1
        value = rng.standard_normal(variable.shape) * scale / np.sqrt(fan_in)
        variable.assign(value.astype(variable.dtype.as_numpy_dtype))


def tolerance(dtype: tf.DType) -> float:
    return {tf.float64: 1e-8, tf.float32: 1e-4}[tf.as_dtype(dtype)]


def fresh(value):
    """Breaks TFP's cache, which is keyed by the identity of tensors."""
    return tf.nest.map_structure(tf.identity, value)


def assert_close(actual, expected, atol):
    tf.nest.map_structure(
        lambda a, e: np.testing.assert_allclose(a, e, atol=atol, rtol=atol),
        actual,
        expected,
    )


def assert_round_trip(bijector, y, **kwargs):
    """forward(inverse(y)) == y and inverse(forward(y)) == y, computed, not cached."""
    atol = tolerance(bijector.dtype)
    there = fresh(bijector.inverse(y, **kwargs))
    assert_close(bijector.forward(there, **kwargs), y, atol)
    x = fresh(tf.nest.map_structure(tf.identity, there))
    back = fresh(bijector.forward(x, **kwargs))
    assert_close(bijector.inverse(back, **kwargs), x, atol)


def assert_log_det_matches_autodiff(bijector, y, **kwargs):
    """Both log-dets against slogdet of the Jacobian that autodiff computes."""
    atol = tolerance(bijector.dtype)
    x = fresh(bijector.inverse(y, **kwargs))
    for function, log_det, value, ndims in (
        (
            bijector.inverse,
            bijector.inverse_log_det_jacobian,
            y,
            bijector.inverse_min_event_ndims,
        ),
        (
            bijector.forward,
            bijector.forward_log_det_jacobian,
            x,
            bijector.forward_min_event_ndims,
        ),
    ):
        expected = autodiff_log_det(lambda v, f=function: f(v, **kwargs), value)
        actual = log_det(fresh(value), ndims, **kwargs)
        np.testing.assert_allclose(
            np.broadcast_to(actual, expected.shape), expected, atol=atol, rtol=atol
        )


def autodiff_log_det(function, value) -> np.ndarray:
    """log|det d function / d value| for a batch `[N, *event]` or a list of such."""
    parts = tf.nest.flatten(value)
    shapes = [part.shape[1:] for part in parts]
    sizes = [shape.num_elements() for shape in shapes]
    flat = tf.concat([tf.reshape(p, [p.shape[0], -1]) for p in parts], axis=1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(flat)
        pieces = tf.split(flat, sizes, axis=1)
        pieces = [tf.reshape(p, [-1, *s]) for p, s in zip(pieces, shapes, strict=True)]
        out = function(tf.nest.pack_sequence_as(value, pieces))
        out = tf.concat(
            [tf.reshape(o, [o.shape[0], -1]) for o in tf.nest.flatten(out)], axis=1
        )
    jacobian = tape.batch_jacobian(out, flat, experimental_use_pfor=False)
    return np.linalg.slogdet(jacobian.numpy().astype(np.float64))[1]


def assert_every_weight_gets_gradient(module, loss):
    with tf.GradientTape() as tape:
        value = loss()
    variables = module.trainable_variables
    assert len(variables) > 0
    gradients = tape.gradient(value, variables)
    missing = [
        v.name
        for v, g in zip(variables, gradients, strict=True)
        if g is None or not np.any(np.asarray(tf.convert_to_tensor(g)))
    ]
    assert not missing, f"no gradient reaches {missing}"


def assert_both_sides_see_the_weights(module, layers, expected: int | None = None):
    """TFP's side (tf.Module) and Keras' side (layers) hold the same weights."""
    keras_side = {id(v.value) for layer in layers for v in layer.trainable_variables}
    module_side = {id(v) for v in module.trainable_variables}
    assert keras_side == module_side
    assert len(module.trainable_variables) == len(module_side) > 0
    assert expected is None or len(module_side) == expected


def assert_same_in_every_mode(function, *args, atol):
    """Eager, tf.function and XLA give the same numbers."""
    eager = function(*fresh(args))
    assert_close(tf.function(function)(*fresh(args)), eager, atol)
    assert_close(tf.function(function, jit_compile=True)(*fresh(args)), eager, atol)


def assert_nan_stays_in_its_row(function, x):
    """A NaN event must not touch its neighbours in the batch."""
    clean = function(x).numpy()
    mask = np.zeros([x.shape[0]] + [1] * (x.shape.rank - 1), bool)
    mask[0] = True
    dirty = function(tf.where(mask, np.nan, x)).numpy()
    assert np.isnan(dirty[0])
    np.testing.assert_allclose(dirty[1:], clean[1:], rtol=1e-5)


def assert_finite_far_out(
    bijector,
    event_shape,
    bounds=(0.0, 1.0, 1e6),
    support=(-np.inf, np.inf),
    **kwargs,
):
    """Values, log-dets and gradients are finite at 0, at bounds and at 1e6.

    Outside of the support, and there alone, the log-det is -inf.
    """
    for value in (sign * bound for bound in bounds for sign in (-1, 1)):
        y = tf.fill([2, *event_shape], tf.cast(value, bijector.dtype))
        with tf.GradientTape() as tape:
            tape.watch(y)
            x = bijector.inverse(y, **kwargs)
            log_det = bijector.inverse_log_det_jacobian(
                y, bijector.inverse_min_event_ndims, **kwargs
            )
            total = tf.reduce_sum(x) + tf.reduce_sum(log_det)
        gradient = tape.gradient(total, y)
        z = tf.fill([2, *bijector.latent_shape], tf.cast(value, bijector.dtype))
        if support[0] < value < support[1]:
            assert np.isfinite(log_det.numpy()).all(), f"at {value}"
        else:
            assert np.isneginf(log_det.numpy()).all(), f"at {value}"
        for result in (x, gradient, bijector.forward(z, **kwargs)):
            assert np.isfinite(result.numpy()).all(), f"at {value}"


def integral_1d(distribution, low, high, points=20001, **kwargs):
    grid = np.linspace(low, high, points)
    values = np.exp(distribution.log_prob(grid[:, None], **kwargs).numpy())
    return values.sum() * (grid[1] - grid[0])


def integral_2d(distribution, low, high, points=401, **kwargs):
    axis = np.linspace(low, high, points)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = np.exp(distribution.log_prob(grid, **kwargs).numpy())
    return values.sum() * (axis[1] - axis[0]) ** 2


def exported(function, *args):
    """A function as an export has it: what follows from weights alone is constant."""

    def run(*args):
        with running_for("export"):
            return function(*args)

    signature = [
        tf.TensorSpec(a.shape, a.dtype, f"arg_{i}") for i, a in enumerate(args)
    ]
    traced = tf.function(run, input_signature=signature, autograph=False)
    return prepared_once({"run": traced})["run"]
