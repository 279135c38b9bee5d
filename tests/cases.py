"""Every bijector and recipe by name; a new one joins the laws by one line here."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.networks import MADE, MLP, ConvResNet, GlowNet, masks
from tfp_flows.scalar_maps import (
    Affine,
    ByUnit,
    CircularSpline,
    MixtureLogistic,
    RationalQuadratic,
)

tfb = tfp.bijectors


@dataclasses.dataclass(frozen=True)
class Case:
    """How to build a bijector or flow and what events to try it on."""

    make: Callable[[str], Any]
    event_shape: tuple[int, ...]
    context_shape: tuple[int, ...] | None = None
    pair: bool = False
    low: float | None = None
    high: float | None = None
    support: tuple[float, float] = (-np.inf, np.inf)  # of each unit

    def build(self, dtype="float64", batch=3):
        """Returns (object with random weights, events, keyword arguments).

        The object is made once for all tests; its weights are the same for each.
        """
        made, weights = _made(self.make, dtype)
        for variable, value in zip(made.variables, weights, strict=True):
            variable.assign(value)
        return made, *self.draw(dtype, (batch,))

    def draw(self, dtype, batch):
        """Returns (events, keyword arguments) of a batch shape."""
        rng = np.random.default_rng(1)
        shape = (*batch, *self.event_shape)
        if self.low is None:
            draw = lambda: tf.constant(rng.standard_normal(shape), dtype)  # noqa: E731
        else:
            draw = lambda: tf.constant(  # noqa: E731
                rng.uniform(self.low, self.high, shape), dtype
            )
        y = [draw(), draw()] if self.pair else draw()
        if self.context_shape is None:
            return y, {}
        context = rng.standard_normal((*batch, *self.context_shape))
        return y, {"context": tf.constant(context, dtype)}


@functools.cache
def _made(make, dtype):
    made = make(dtype)
    laws.randomize(made)
    return made, [variable.numpy() for variable in made.variables]


def _mlp(dtype, **kwargs):
    return MLP((16, 16), "tanh", dtype=dtype, **kwargs)


def _conv(dtype):
    return ConvResNet(8, 1, "tanh", dtype=dtype)


def _affine(shape, mask, network, **kwargs):
    return lambda dtype: b.AffineCoupling(
        shape, network(dtype), mask, dtype=dtype, **kwargs
    )


def _additive(shape, mask, network, **kwargs):
    return lambda dtype: b.AdditiveCoupling(
        shape, network(dtype), mask, dtype=dtype, **kwargs
    )


def _spline(shape, mask, network, **kwargs):
    return lambda dtype: b.SplineCoupling(
        shape, network(dtype), mask, num_bins=5, bound=3.0, dtype=dtype, **kwargs
    )


def _circular(num_angles, scalar_map):
    """The first `num_angles` of four units are angles."""
    return lambda dtype: b.Coupling(
        (4,),
        _mlp(dtype),
        masks.half((4,), flip=True),
        scalar_map,
        angles=np.arange(4) < num_angles,
        dtype=dtype,
    )


def _mixture(shape, mask, network, **kwargs):
    return lambda dtype: b.MixtureLogisticCoupling(
        shape, network(dtype), mask, num_components=3, dtype=dtype, **kwargs
    )


def _linear(shape, kind, **kwargs):
    return lambda dtype: b.InvertibleLinear(shape, kind, dtype=dtype, **kwargs)


def _conv_1x1(shape, kind, **kwargs):
    return lambda dtype: b.InvertibleConv1x1(shape, kind, dtype=dtype, **kwargs)


def _glow_net(dtype):
    return GlowNet(4, dtype=dtype)


def _affine_maps(shape, dtype):
    """Neighbours that a chain applies as one map."""
    return [
        b.ActNorm(shape, dtype=dtype),
        b.InvertibleLinear(shape, dtype=dtype),
        b.InvertibleLinear(shape, "plain", seed=1, use_bias=True, dtype=dtype),
        b.ActNorm(shape, dtype=dtype, name="other_act_norm"),
    ]


def _repeat(shape, network, count, memory="activations", **kwargs):
    def step(dtype):
        couple = _affine(shape, masks.half(shape), network, **kwargs)
        return b.Chain([*_affine_maps(shape, dtype)[:2], couple(dtype)])

    return lambda dtype: b.Repeat(lambda i: step(dtype), count, memory)


def _multiscale(shape, memory="activations", **kwargs):
    """Steps that are none of Glow's, and priors of the finished halves."""
    first, second = b.Multiscale.level_shapes(shape, 2)
    couple = lambda s, flip: _affine(  # noqa: E731
        s, masks.half(s, flip=flip), _conv, **kwargs
    )
    return lambda dtype: b.Multiscale(
        [
            [_affine(first, masks.checkerboard(first), _conv)(dtype)],
            [b.DiagonalScale(second, dtype=dtype), couple(second, False)(dtype)],
        ],
        shape,
        priors=[couple(first, True)(dtype)],
        memory=memory,
    )


def _masked(shape, unit_map, context_shape=None, **kwargs):
    return lambda dtype: b.MaskedAutoregressive(
        MADE(
            shape,
            unit_map.num_params,
            **{"hidden_units": (16, 16), "activation": "tanh", **kwargs},
            dtype=dtype,
        ),
        unit_map,
        context_shape=context_shape,
        dtype=dtype,
    )


def _masked_circles(shape, circles, context_shape=None, **kwargs):
    """The units of the last axis that are marked are angles."""
    unit_map = ByUnit.where(circles, CircularSpline(5), Affine())
    return lambda dtype: b.MaskedAutoregressive(
        MADE(
            *(shape, unit_map.num_params, 2),
            **{"hidden_units": (16, 16), "activation": "tanh", **kwargs},
            dtype=dtype,
        ),
        unit_map,
        context_shape=context_shape,
        angles=np.array(circles),
        dtype=dtype,
    )


_ODD = np.array([True, False, False, True, False])
_VECTOR, _IMAGE = (5,), (4, 4, 2)

BIJECTORS = {
    "additive half": Case(_additive(_VECTOR, masks.half(_VECTOR), _mlp), _VECTOR),
    "additive alternating": Case(
        _additive(_VECTOR, masks.alternating(_VECTOR, flip=True), _mlp), _VECTOR
    ),
    "affine half": Case(_affine(_VECTOR, masks.half(_VECTOR), _mlp), _VECTOR),
    "affine other half": Case(
        _affine(_VECTOR, masks.half(_VECTOR, flip=True), _mlp), _VECTOR
    ),
    "affine any mask": Case(_affine(_VECTOR, _ODD, _mlp), _VECTOR),
    "affine residual network": Case(
        _affine(_VECTOR, _ODD, lambda d: _mlp(d, residual=True)), _VECTOR
    ),
    "affine context": Case(
        _affine(_VECTOR, masks.half(_VECTOR), _mlp, context_shape=(2,)), _VECTOR, (2,)
    ),
    "affine sequence": Case(_affine((3, 4), masks.half((3, 4)), _mlp), (3, 4)),
    "affine rank 4": Case(
        _affine((2, 2, 2, 2), masks.alternating((2, 2, 2, 2)), _mlp), (2, 2, 2, 2)
    ),
    "additive checkerboard": Case(
        _additive(_IMAGE, masks.checkerboard(_IMAGE), _conv), _IMAGE
    ),
    "affine checkerboard": Case(
        _affine(_IMAGE, masks.checkerboard(_IMAGE, flip=True), _conv), _IMAGE
    ),
    "affine channels": Case(_affine(_IMAGE, masks.half(_IMAGE), _conv), _IMAGE),
    "affine image context": Case(
        _affine(_IMAGE, masks.half(_IMAGE), _conv, context_shape=(3,)), _IMAGE, (3,)
    ),
    "affine beside an image": Case(
        _affine(_IMAGE, masks.checkerboard(_IMAGE), _conv, context_shape=(4, 4, 3)),
        _IMAGE,
        (4, 4, 3),
    ),
    "affine beside a larger image": Case(
        _affine(_IMAGE, masks.half(_IMAGE), _conv, context_shape=(8, 8, 2)),
        _IMAGE,
        (8, 8, 2),
    ),
    "affine glow net beside an image": Case(
        _affine(
            _IMAGE,
            masks.half(_IMAGE),
            lambda d: GlowNet(8, dtype=d),
            context_shape=(4, 4, 3),
        ),
        _IMAGE,
        (4, 4, 3),
    ),
    "spline half": Case(_spline(_VECTOR, masks.half(_VECTOR), _mlp), _VECTOR),
    "spline checkerboard": Case(
        _spline(_IMAGE, masks.checkerboard(_IMAGE), _conv), _IMAGE
    ),
    "spline sequence": Case(_spline((3, 4), masks.half((3, 4)), _mlp), (3, 4)),
    "spline context": Case(
        _spline(_VECTOR, _ODD, _mlp, context_shape=(2,)), _VECTOR, (2,)
    ),
    "circular spline": Case(_circular(4, CircularSpline(5)), (4,), low=-3.0, high=3.0),
    "circular spline beside an affine map": Case(
        _circular(2, ByUnit(CircularSpline(4), Affine(), [True, False])),
        (4,),
        low=-3.0,
        high=3.0,
    ),
    "act norm on some units": Case(
        lambda d: b.OnUnits(b.ActNorm((2,), dtype=d), [False, True, True, False]),
        (4,),
    ),
    "spline one unit": Case(_spline((1,), masks.nothing((1,)), _mlp), (1,)),
    "spline one unit, context": Case(
        _spline((1,), masks.nothing((1,)), _mlp, context_shape=(2,)), (1,), (2,)
    ),
    "mixture half": Case(_mixture(_VECTOR, masks.half(_VECTOR), _mlp), _VECTOR),
    "mixture channels": Case(_mixture(_IMAGE, masks.half(_IMAGE), _conv), _IMAGE),
    "mixture checkerboard": Case(
        _mixture((2, 3, 1), masks.checkerboard((2, 3, 1)), _conv), (2, 3, 1)
    ),
    "mixture context": Case(
        _mixture(_VECTOR, _ODD, _mlp, context_shape=(2,)), _VECTOR, (2,)
    ),
    "linear lu": Case(_linear(_VECTOR, "lu"), _VECTOR),
    "linear plain": Case(_linear((3, 4), "plain"), (3, 4)),
    "linear householder": Case(_linear(_VECTOR, "householder"), _VECTOR),
    "linear lu bias": Case(_linear((3, 4), "lu", use_bias=True), (3, 4)),
    "linear plain bias": Case(_linear(_VECTOR, "plain", use_bias=True), _VECTOR),
    "1x1 householder bias": Case(
        _conv_1x1(_IMAGE, "householder", use_bias=True), _IMAGE
    ),
    "1x1 lu": Case(_conv_1x1((2, 3, 4), "lu"), (2, 3, 4)),
    "1x1 plain": Case(_conv_1x1(_IMAGE, "plain"), _IMAGE),
    "1x1 householder": Case(_conv_1x1((3, 2, 3), "householder"), (3, 2, 3)),
    **{
        f"1x1 {kind} {shape}": Case(_conv_1x1(shape, kind), shape)
        for kind in ("lu", "plain", "householder")
        for shape in ((2, 2, 8), (1, 4, 2))
    },
    "fused affine maps": Case(lambda d: b.Chain(_affine_maps(_IMAGE, d)), _IMAGE),
    "repeat": Case(_repeat(_VECTOR, _mlp, 3), _VECTOR),
    "repeat constant": Case(_repeat(_VECTOR, _mlp, 3, "constant"), _VECTOR),
    "repeat image": Case(_repeat(_IMAGE, _glow_net, 2, "constant"), _IMAGE),
    "repeat context": Case(
        _repeat((4,), _mlp, 2, "constant", context_shape=(2,)), (4,), (2,)
    ),
    "multiscale priors": Case(_multiscale((4, 4, 1)), (4, 4, 1)),
    "multiscale constant": Case(_multiscale((4, 4, 2), "constant"), (4, 4, 2)),
    "multiscale context": Case(
        _multiscale((4, 8, 1), context_shape=(2,)), (4, 8, 1), (2,)
    ),
    "autoregressive": Case(_masked(_VECTOR, Affine()), _VECTOR),
    "autoregressive image": Case(
        _masked((2, 2, 2), Affine(), order="random", residual=True),
        (2, 2, 2),
    ),
    "autoregressive spline": Case(
        _masked(_VECTOR, RationalQuadratic(4, 3.0), order="reversed"),
        _VECTOR,
    ),
    "autoregressive mixture context": Case(
        _masked((4,), MixtureLogistic(2), (2,), block_size=2), (4,), (2,)
    ),
    "autoregressive circles": Case(
        _masked_circles((4,), [True] * 4, order="reversed"), (4,), low=-3.0, high=3.0
    ),
    "autoregressive circles and lines": Case(
        _masked_circles((3, 2), [True, False], order="random"),
        (3, 2),
        low=-3.0,
        high=3.0,
    ),
    "autoregressive circles in blocks, context": Case(
        _masked_circles((4,), [False, True, True, False], (2,), block_size=2),
        (4,),
        (2,),
        low=-3.0,
        high=3.0,
    ),
    "inverse autoregressive circles": Case(
        lambda d: b.Inverse(_masked_circles((3,), [True, False, True])(d)),
        (3,),
        low=-3.0,
        high=3.0,
    ),
    "act norm on some channels": Case(
        lambda d: b.OnUnits(b.ActNorm((3, 1), dtype=d), [False, True]), (3, 2)
    ),
    "inverse autoregressive context": Case(
        lambda d: b.Inverse(_masked(_VECTOR, Affine(), (2,))(d)),
        _VECTOR,
        (2,),
    ),
    "tfp's inverse in a chain": Case(
        lambda d: b.Chain(
            [
                b.ActNorm(_VECTOR, dtype=d),
                tfb.Invert(_masked(_VECTOR, Affine(), (2,))(d)),
            ]
        ),
        _VECTOR,
        (2,),
    ),
    "batch norm": Case(lambda d: b.BatchNorm(_VECTOR, dtype=d), _VECTOR),
    "batch norm image": Case(lambda d: b.BatchNorm(_IMAGE, dtype=d), _IMAGE),
    "act norm": Case(lambda d: b.ActNorm(_VECTOR, dtype=d), _VECTOR),
    "act norm sequence": Case(lambda d: b.ActNorm((3, 4), dtype=d), (3, 4)),
    "act norm image": Case(lambda d: b.ActNorm(_IMAGE, dtype=d), _IMAGE),
    "diagonal scale": Case(lambda d: b.DiagonalScale(_VECTOR, dtype=d), _VECTOR),
    "triangular affine": Case(lambda d: b.TriangularAffine(_VECTOR, dtype=d), _VECTOR),
    "triangular affine image": Case(
        lambda d: b.TriangularAffine((2, 2, 2), dtype=d), (2, 2, 2)
    ),
    "reversible block": Case(
        lambda d: b.ReversibleBlock((3,), _mlp(d), _mlp(d), dtype=d), (3,), pair=True
    ),
    "multiscale": Case(
        lambda d: b.Multiscale(
            [
                [b.ActNorm((2, 2, 4), dtype=d)],
                [_affine((1, 1, 8), masks.half((1, 1, 8)), _conv)(d)],
            ],
            (4, 4, 1),
            fine=[
                [_affine((4, 4, 1), masks.checkerboard((4, 4, 1)), _conv)(d)],
                [b.ActNorm((2, 2, 2), dtype=d)],
            ],
        ),
        (4, 4, 1),
    ),
    "chain": Case(
        lambda d: b.Chain(
            [
                tfb.Shift(tf.constant(0.5, d)),
                _affine(_VECTOR, _ODD, _mlp)(d),
                tfb.Permute([4, 3, 2, 1, 0]),
                _additive(_VECTOR, masks.half(_VECTOR), _mlp)(d),
                b.ActNorm(_VECTOR, dtype=d),
            ]
        ),
        _VECTOR,
    ),
    "chain context": Case(
        lambda d: b.Chain(
            [
                b.ActNorm(_VECTOR, dtype=d),
                _affine(_VECTOR, _ODD, _mlp, context_shape=(2,))(d),
            ]
        ),
        _VECTOR,
        (2,),
    ),
    "chain of pairs": Case(
        lambda d: b.Chain(
            [b.ReversibleBlock((3,), _mlp(d), _mlp(d), dtype=d) for _ in range(2)]
        ),
        (3,),
        pair=True,
    ),
}


def _histogram(shape, num_values=5, per="pixel"):
    def make(dtype):
        bijector = b.PixelHistogram(shape, num_values, per, smoothing=3.0, dtype=dtype)
        counts = np.random.default_rng(3).poisson(1.0, (20, *shape))
        bijector.adapt(np.minimum(counts, num_values - 1) + 0.5)
        return bijector

    return make


# Each feature's, of which (0, 1) is what all share.
_SUPPORT = [(0, 1), "positive", (None, 1.0), "real", ("periodic", 0.0, 1.0)]

# Without trained weights: all laws but those on gradients of weights.
FIXED = {
    "squeeze": Case(lambda d: b.Squeeze(_IMAGE, dtype=d), _IMAGE),
    "squeeze signal": Case(lambda d: b.Squeeze((6, 2), 3, dtype=d), (6, 2)),
    "squeeze volume": Case(lambda d: b.Squeeze((2, 4, 2, 1), dtype=d), (2, 4, 2, 1)),
    "standardize": Case(lambda d: _adapted(b.Standardize(_VECTOR, dtype=d)), _VECTOR),
    "pixel logit": Case(
        lambda d: b.PixelLogit(_IMAGE, 17, dtype=d), _IMAGE, low=-3.0, high=20.0
    ),
    "pixel histogram": Case(_histogram((1,)), (1,), low=-3.0, high=8.0),
    "pixel histogram vector": Case(_histogram((5,)), (5,), low=-3.0, high=8.0),
    "pixel histogram image": Case(_histogram(_IMAGE), _IMAGE, low=-3.0, high=8.0),
    "pixel histogram per channel": Case(
        _histogram(_IMAGE, per="channel"), _IMAGE, low=-3.0, high=8.0
    ),
    "intervals": Case(
        lambda d: b.Intervals((5,), _SUPPORT, dtype=d),
        (5,),
        low=0.1,
        high=0.9,
        support=(0.0, 1.0),
    ),
    "unit interval": Case(
        lambda d: b.UnitInterval(_IMAGE, dtype=d),
        _IMAGE,
        low=0.01,
        high=0.99,
        support=(0.0, 1.0),
    ),
}


def _adapted(bijector):
    rng = np.random.default_rng(2)
    bijector.adapt(tf.constant(rng.normal(3.0, 2.0, (50, *bijector.event_shape))))
    return bijector


_SMALL = {"hidden_units": (16,), "activation": "tanh"}
_SMALL_CONV = {"filters": 8, "num_blocks": 1, "activation": "tanh"}

_INSIDE = {"low": 0.1, "high": 0.9, "support": (0.0, 1.0)}

FLOWS = {
    "real nvp support": Case(
        lambda d: flows.real_nvp(
            (4,), 2, **_SMALL, support=_SUPPORT[:4], base="student_t", dtype=d
        ),
        (4,),
        **_INSIDE,
    ),
    "neural spline circles context": Case(
        lambda d: flows.neural_spline(
            (5,), 2, 4, **_SMALL, support=_SUPPORT, context_shape=(2,), dtype=d
        ),
        (5,),
        (2,),
        **_INSIDE,
    ),
    "maf circles context": Case(
        lambda d: flows.maf(
            (5,), 2, **_SMALL, support=_SUPPORT, context_shape=(2,), dtype=d
        ),
        (5,),
        (2,),
        **_INSIDE,
    ),
    "iaf circles": Case(
        lambda d: flows.iaf(
            (3,), 1, **_SMALL, support=[_SUPPORT[i] for i in (4, 0, 4)], dtype=d
        ),
        (3,),
        **_INSIDE,
    ),
    "wavenet circles": Case(
        lambda d: flows.wavenet(
            (3, 2), 2, 4, num_steps=2, support=[_SUPPORT[4], _SUPPORT[0]], dtype=d
        ),
        (3, 2),
        **_INSIDE,
    ),
    "gaussian mixture support": Case(
        lambda d: flows.gaussian_mixture((3,), 2, support=_SUPPORT[:3], dtype=d),
        (3,),
        **_INSIDE,
    ),
    "gaussian": Case(lambda d: flows.gaussian((3,), dtype=d), (3,)),
    "gaussian mixture": Case(lambda d: flows.gaussian_mixture((3,), 2, dtype=d), (3,)),
    "nice": Case(lambda d: flows.nice((4,), 2, **_SMALL, dtype=d), (4,)),
    "nice normal": Case(
        lambda d: flows.nice((4,), 2, base="normal", **_SMALL, dtype=d), (4,)
    ),
    "nice image": Case(
        lambda d: flows.nice((2, 2, 1), 2, **_SMALL, dtype=d), (2, 2, 1)
    ),
    "real nvp": Case(lambda d: flows.real_nvp((4,), 3, **_SMALL, dtype=d), (4,)),
    "real nvp context": Case(
        lambda d: flows.real_nvp((4,), 2, **_SMALL, context_shape=(2,), dtype=d),
        (4,),
        (2,),
    ),
    "real nvp image": Case(
        lambda d: flows.real_nvp(
            (4, 4, 1), 2, filters=8, num_blocks=1, activation="tanh", dtype=d
        ),
        (4, 4, 1),
    ),
    "real nvp signal beside a longer one": Case(
        lambda d: flows.real_nvp(
            (8, 1),
            2,
            filters=8,
            num_blocks=1,
            activation="tanh",
            context_shape=(16, 2),
            dtype=d,
        ),
        (8, 1),
        (16, 2),
    ),
    "glow volume": Case(
        lambda d: flows.glow((2, 4, 2, 1), 1, 2, 4, context_shape=(3,), dtype=d),
        (2, 4, 2, 1),
        (3,),
    ),
    "neural spline signal": Case(
        lambda d: flows.neural_spline(
            (4, 2), 2, 4, filters=8, num_blocks=1, activation="tanh", dtype=d
        ),
        (4, 2),
    ),
    "real nvp odd image": Case(
        lambda d: flows.real_nvp(
            (3, 3, 1), 2, filters=8, num_blocks=1, activation="tanh", dtype=d
        ),
        (3, 3, 1),
    ),
    "real nvp image context": Case(
        lambda d: flows.real_nvp(
            (4, 4, 1),
            2,
            filters=8,
            num_blocks=1,
            activation="tanh",
            context_shape=(2,),
            dtype=d,
        ),
        (4, 4, 1),
        (2,),
    ),
    "real nvp beside an image": Case(
        lambda d: flows.real_nvp(
            (4, 4, 1), 2, **_SMALL_CONV, context_shape=(4, 4, 2), dtype=d
        ),
        (4, 4, 1),
        (4, 4, 2),
    ),
    "neural spline": Case(
        lambda d: flows.neural_spline((4,), 2, 5, **_SMALL, dtype=d), (4,)
    ),
    "neural spline context": Case(
        lambda d: flows.neural_spline((4,), 2, **_SMALL, context_shape=(2,), dtype=d),
        (4,),
        (2,),
    ),
    "neural spline image": Case(
        lambda d: flows.neural_spline((4, 4, 1), 2, 5, **_SMALL_CONV, dtype=d),
        (4, 4, 1),
    ),
    "flow++": Case(lambda d: flows.flow_pp((4,), 2, 3, **_SMALL, dtype=d), (4,)),
    "flow++ context": Case(
        lambda d: flows.flow_pp((4,), 2, 3, **_SMALL, context_shape=(2,), dtype=d),
        (4,),
        (2,),
    ),
    "glow": Case(lambda d: flows.glow((4, 4, 1), 2, 1, 4, dtype=d), (4, 4, 1)),
    "glow context": Case(
        lambda d: flows.glow(
            (2, 4, 2), 1, 2, 4, linear="plain", context_shape=(2,), dtype=d
        ),
        (2, 4, 2),
        (2,),
    ),
    "glow mixture": Case(
        lambda d: flows.glow(
            *((4, 4, 1), 2, 2, 4),
            coupling="mixture",
            coupling_options={"num_components": 2},
            initial="permutation",
            dtype=d,
        ),
        (4, 4, 1),
    ),
    "glow spline": Case(
        lambda d: flows.glow(
            *((4, 4, 1), 2, 1, 4),
            coupling="spline",
            coupling_options={"num_bins": 4},
            context_shape=(2,),
            memory="activations",
            dtype=d,
        ),
        (4, 4, 1),
        (2,),
    ),
    "glow without priors": Case(
        lambda d: flows.glow(
            *((4, 4, 3), 2, 1, 4),
            coupling="additive",
            linear="householder",
            learned_prior=False,
            memory="activations",
            dtype=d,
        ),
        (4, 4, 3),
    ),
    "flow++ image": Case(
        lambda d: flows.flow_pp((4, 4, 1), 2, 3, **_SMALL_CONV, dtype=d), (4, 4, 1)
    ),
    "wavenet": Case(lambda d: flows.wavenet((5, 1), 2, 4, dtype=d), (5, 1)),
    "wavenet beside a sequence": Case(
        lambda d: flows.wavenet(
            (4, 2),
            2,
            4,
            num_steps=2,
            scalar_map="mixture",
            num_components=2,
            context_shape=(4, 3),
            dtype=d,
        ),
        (4, 2),
        (4, 3),
    ),
    "recurrent": Case(
        lambda d: flows.recurrent(
            (4, 1), (4,), "gru", scalar_map="spline", context_shape=(2,), dtype=d
        ),
        (4, 1),
        (2,),
    ),
    "maf": Case(lambda d: flows.maf((4,), 2, **_SMALL, dtype=d), (4,)),
    "maf mixtures": Case(
        lambda d: flows.maf(
            (3,),
            1,
            **_SMALL,
            scalar_map="mixture",
            scalar_map_options={"num_components": 2},
            normalization="batch_norm",
            num_components=2,
            dtype=d,
        ),
        (3,),
    ),
    "maf image context": Case(
        lambda d: flows.maf(
            (2, 2, 1), 2, **_SMALL, context_shape=(2,), order="random", dtype=d
        ),
        (2, 2, 1),
        (2,),
    ),
    "iaf": Case(lambda d: flows.iaf((3,), 2, **_SMALL, dtype=d), (3,)),
    "neural spline autoregressive": Case(
        lambda d: flows.neural_spline(
            (3,), 2, 4, **_SMALL, autoregressive=True, dtype=d
        ),
        (3,),
    ),
}
