"""What TFP asks of a bijector, as its own test helper does, of every one of ours."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import cases, laws
from tfp_flows import bijectors as b
from tfp_flows.networks import MADE, MLP, masks
from tfp_flows.scalar_maps import RationalQuadratic

tfb, tfd = tfp.bijectors, tfp.distributions

ALL = {**cases.BIJECTORS, **cases.FIXED}
BATCHES = ((), (3,), (2, 3))
DIRECTIONS = ("forward", "inverse")


def each(table):
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def more(ndims, by):
    return tf.nest.map_structure(lambda n: n + by, ndims)


def both(bijector, direction, value, kwargs, by=0):
    """Value and log-det, as TFP gives them."""
    ndims = more(getattr(bijector, f"{direction}_min_event_ndims"), by)
    log_det = getattr(bijector, f"{direction}_log_det_jacobian")
    result = getattr(bijector, direction)(value, **kwargs)
    return result, log_det(value, ndims, **kwargs)


def at(nest, *index):
    return tf.nest.map_structure(lambda v: tf.identity(v[index]), nest)


@each(ALL)
@dtypes
def test_bijective_and_finite_with_log_dets_summed_and_alike_in_all_batches(
    case, dtype
):
    bijector, atol = case.make(dtype), 10 * laws.tolerance(dtype)
    laws.randomize(bijector)
    y, kwargs = case.draw(dtype, (2, 3))
    x = laws.fresh(both(bijector, "inverse", y, kwargs)[0])
    back = laws.fresh(both(bijector, "forward", x, kwargs)[0])
    laws.assert_close(back, y, atol)
    found = []
    for direction, value in (("forward", x), ("inverse", y)):
        # The second and third come from TFP's cache: no more network calls.
        sums = [both(bijector, direction, value, kwargs, by) for by in (0, 1, 2)]
        rows = np.broadcast_to(sums[0][1], (2, 3))
        found.append(rows)
        for tensor in (*tf.nest.flatten(sums[0][0]), rows):
            assert np.isfinite(tensor).all() and tensor.shape[:2] == (2, 3)
        for (_, log_det), wanted in zip(
            sums[1:], (rows.sum(-1), rows.sum()), strict=True
        ):
            np.testing.assert_allclose(
                np.broadcast_to(log_det, wanted.shape), wanted, atol=10 * atol
            )
        for index in ((0,), (0, 1)):  # batches [3] and []
            row, log_det = both(
                bijector, direction, at(value, *index), at(kwargs, *index)
            )
            laws.assert_close(row, at(sums[0][0], *index), atol)
            wanted = rows[index]
            log_det = np.broadcast_to(log_det, wanted.shape)
            np.testing.assert_allclose(log_det, wanted, atol=atol, rtol=atol)
    np.testing.assert_allclose(found[0], -found[1], atol=atol, rtol=atol)


SMALL = {
    name: case
    for name, case in ALL.items()
    if np.prod(case.event_shape) <= 5 and not name.startswith("repeat")
}


@each(SMALL)
def test_log_dets_of_batches_are_those_of_theory(case):
    bijector, _, _ = case.build()
    y, kwargs = case.draw("float64", (2, 2))
    flat = lambda v: tf.reshape(v, [4, *v.shape[2:]])  # noqa: E731
    _, log_det = both(bijector, "inverse", y, kwargs)
    rows, kwargs = (tf.nest.map_structure(flat, nest) for nest in (y, kwargs))
    wanted = laws.autodiff_log_det(lambda v: bijector.inverse(v, **kwargs), rows)
    found = np.broadcast_to(log_det, (2, 2)).ravel()
    np.testing.assert_allclose(found, wanted, atol=1e-8, rtol=1e-8)


@each(ALL)
def test_event_shapes_keep_batch_dimensions(case):
    bijector, like = case.make("float32"), lambda s: [s, s] if case.pair else s  # noqa: E731
    ends = {"forward": bijector.event_shape, "inverse": bijector.latent_shape}
    starts = {"forward": bijector.latent_shape, "inverse": bijector.event_shape}
    for direction in DIRECTIONS:
        static = getattr(bijector, f"{direction}_event_shape")
        dynamic = getattr(bijector, f"{direction}_event_shape_tensor")
        for batch in BATCHES:
            given = like([*batch, *starts[direction]])
            wanted = like([*batch, *ends[direction]])
            found = tf.nest.map_structure(lambda n: n.numpy().tolist(), dynamic(given))
            assert found == wanted
            shapes = tf.nest.flatten(static(given))
            assert all(s == tf.nest.flatten([wanted])[: len(s)] for s in shapes)


@each({name: ALL[name] for name in ("affine context", "act norm", "repeat", "chain")})
def test_shapes_that_do_not_fit_or_are_not_known_are_refused(case):
    bijector, (_, kwargs) = case.make("float32"), case.draw("float32", (3,))
    event = list(bijector.event_shape)
    assert bijector.inverse_event_shape(None).rank is None
    with pytest.raises(ValueError, match=bijector.name):
        bijector.inverse_event_shape([3, *event[:-1], 7])
    for unknown in (None, [3, *event[:-1], None]):
        function = tf.function(lambda y: bijector.inverse(y, **kwargs), autograph=False)
        with pytest.raises(ValueError, match="tf.ensure_shape"):
            function.get_concrete_function(tf.TensorSpec(unknown, tf.float32))


@each(ALL)
def test_no_gradient_is_none_but_of_a_constant_jacobian(case):
    """And a Jacobian that is constant is said to be so."""
    bijector, value, kwargs = case.build()
    inputs = [*tf.nest.flatten(value), *kwargs.values()]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        result, log_det = both(bijector, "inverse", value, kwargs)
        total = tf.add_n([tf.reduce_sum(tf.sin(r)) for r in tf.nest.flatten(result)])
    gradients = tape.gradient(total, inputs)
    locally = bijector.is_constant_jacobian or isinstance(bijector, b.PixelHistogram)
    if not locally:
        gradients += tape.gradient(log_det, inputs)
    assert all(gradient is not None for gradient in gradients)
    other = tf.nest.map_structure(lambda v: 0.5 * v + 0.1, value)
    _, again = both(bijector, "inverse", other, kwargs)
    one, two = (np.broadcast_to(found, (3,)) for found in (log_det, again))
    assert bijector.is_constant_jacobian == np.allclose(one, two, rtol=1e-9, atol=1e-9)


COMPOSED = ("additive half", "autoregressive", "repeat constant", "multiscale")
COMPOSED += ("act norm", "chain", "reversible block", "unit interval")


@each({name: ALL[name] for name in COMPOSED})
def test_a_context_that_is_not_wanted_is_ignored_by_the_methods_for_composing(case):
    bijector, y, _ = case.build()
    context = tf.zeros([3, 1], tf.float64)
    for direction in DIRECTIONS:
        function = getattr(bijector, f"{direction}_and_log_det")
        laws.assert_close(function(y, context), function(y), atol=0)
        with pytest.raises(ValueError, match="takes no context"):
            getattr(bijector, direction)(y, context=context)


def test_a_chain_takes_the_inverse_of_a_block_of_pairs():
    block = b.ReversibleBlock((3,), MLP((8,)), MLP((8,)))
    laws.randomize(block)
    chain, pair = b.Chain([tfb.Invert(block)], (3,)), [tf.ones([2, 3])] * 2
    laws.assert_close(chain.inverse(pair), block.forward(pair), atol=0)
    laws.assert_round_trip(chain, pair)


SCALAR = {
    "act norm": (lambda: b.ActNorm((1,), dtype="float64"), -2.0, 2.0),
    "unit interval": (lambda: b.UnitInterval((1,), dtype="float64"), 0.02, 0.98),
    "pixel logit": (lambda: b.PixelLogit((1,), 8, dtype="float64"), -1.0, 9.0),
    "tfp's": (lambda: b.Chain([tfb.Exp()], (1,)), 0.1, 3.0),
    "spline": (
        lambda: b.MaskedAutoregressive(
            MADE((1,), RationalQuadratic(4, 3.0).num_params, dtype="float64"),
            RationalQuadratic(4, 3.0),
            dtype="float64",
        ),
        -4.0,
        4.0,
    ),
}


@pytest.mark.parametrize(("make", "low", "high"), SCALAR.values(), ids=SCALAR.keys())
def test_scalar_maps_increase_and_their_slope_integrates_to_them(make, low, high):
    bijector = make()
    laws.randomize(bijector)
    kind = bijector.dtype.as_numpy_dtype
    y = np.linspace(low, high, 20001, dtype=kind)[:, None]
    x = bijector.inverse(y).numpy()[:, 0]
    assert (np.diff(x) > 0).all()
    log_slope = bijector.inverse_log_det_jacobian(tf.constant(y), 1)
    slope = np.exp(np.broadcast_to(log_slope, x.shape))
    step = (high - low) / 20000
    total = np.cumsum((slope[1:] + slope[:-1]) / 2 * step)
    np.testing.assert_allclose(x[1:] - x[0], total, rtol=1e-3, atol=1e-3)


def coupling(shape=(3,), context_shape=None, dtype="float32"):
    made = b.AffineCoupling(
        shape,
        MLP((8,), "tanh", dtype=dtype),
        masks.half(shape),
        context_shape=context_shape,
        dtype=dtype,
    )
    laws.randomize(made)
    return made


def test_a_batch_of_bases_can_be_sliced_and_the_weights_stay_shared():
    loc = tf.constant(np.arange(6.0).reshape(2, 3), tf.float32)
    base = tfd.MultivariateNormalDiag(loc, tf.ones([3]))
    bijector = coupling()
    both = tfd.TransformedDistribution(base, bijector)
    x = tf.ones([2, 3])
    for i in range(2):
        one = both[i]
        assert one.batch_shape == [] and one.bijector is bijector
        np.testing.assert_allclose(
            one.log_prob(tf.identity(x[i])), both.log_prob(x)[i], rtol=1e-6
        )
    assert bijector[0] is bijector
    assert b.KerasBijector.parameter_properties() == {}


def test_a_deferred_tensor_and_a_transformed_variable_are_mapped():
    bijector, value = coupling(), tf.reshape(tf.range(6.0), [2, 3])
    raw = tf.Variable(value)
    deferred = tfp.util.DeferredTensor(raw, bijector)
    assert deferred.shape == [2, 3] and deferred.dtype == tf.float32
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.convert_to_tensor(deferred))
    assert tape.gradient(total, raw) is not None
    variable = tfp.util.TransformedVariable(value, bijector)
    np.testing.assert_allclose(variable, value, rtol=1e-5)
    assert variable.shape == [2, 3]
    variable.assign(value + 1.0)
    np.testing.assert_allclose(variable, value + 1.0, rtol=1e-5)


def test_a_variable_as_context_gets_its_gradient():
    bijector, context = coupling(context_shape=(2,)), tf.Variable([[0.5, 1.0]])
    transformed = tfp.util.TransformedVariable([[1.0, 2.0]], tfb.Exp())
    for value in (context, transformed):
        with tf.GradientTape() as tape:
            y = bijector.forward(tf.ones([1, 3]), context=value)
        gradients = tape.gradient(
            y, value.trainable_variables if value is transformed else [value]
        )
        assert np.abs(gradients[0]).max() > 0


VECTORIZED = (
    "affine half",
    "mixture half",
    "fused affine maps",
    "inverse autoregressive context",
    "repeat",
)


@each({name: ALL[name] for name in VECTORIZED})
def test_a_vectorized_map_gives_the_same(case):
    bijector, value, kwargs = case.build()
    for direction in DIRECTIONS:

        def row(given, direction=direction):
            value, kwargs = given
            result, log_det = both(bijector, direction, value, kwargs)
            return result, log_det + tf.zeros([], value.dtype)

        found, log_det = tf.vectorized_map(row, (value, kwargs))
        wanted, wanted_log_det = both(bijector, direction, value, kwargs)
        np.testing.assert_allclose(found, wanted, atol=1e-9)
        np.testing.assert_allclose(
            log_det, np.broadcast_to(wanted_log_det, (3,)), atol=1e-9
        )


def test_deep_copies_are_equal_and_have_weights_of_their_own():
    for make in (coupling, lambda: b.Chain([b.ActNorm((3,)), tfb.Exp(), coupling()])):
        bijector = make()
        laws.randomize(bijector)
        other, y = copy.deepcopy(bijector), tf.ones([2, 3])
        np.testing.assert_array_equal(other.inverse(y), bijector.inverse(y))
        ours = {id(v) for v in bijector.trainable_variables}
        assert not ours & {id(v) for v in other.trainable_variables}
