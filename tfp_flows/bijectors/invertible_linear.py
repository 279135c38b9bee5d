"""Learned invertible matrices on the last axis: Glow's 1x1 convolution."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.position_affine import AffineMap, PositionAffine, row_times
from tfp_flows.bijectors.precision import matmul
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks import gains
from tfp_flows.networks.weights.parameters import Parameters

_INITIALS = ("rotation", "permutation", "identity")


class InvertibleLinear(PositionAffine):
    """Multiplies the last axis by a learned invertible matrix W [1].

    inverse:  x = y W + b   (data -> latent, so that training inverts nothing)
    forward:  y = (x - b) W^-1;  log_det of the inverse: positions * log|det W|
    b = 0, without `use_bias`

    Parametrisations of W, `[C, C]`:

    "lu"           W = P L (U + diag(s exp(d))); P and the signs s are fixed, L is unit
                   lower, U strictly upper triangular. log|det W| = sum(d), and no step
                   of training can make W singular. W^-1 by two triangular solves.
    "plain"        any matrix; log|det W| in O(C^3); training may come close to a
                   singular one.
    "householder"  a product of reflections, so orthogonal [2]; log|det W| = 0 and
                   W^-1 = W^T. At most C of them, an even number.

    Shapes: x, y `[*batch, *positions, C]` -> log_det `[]`.

    Args:
      event_shape: shape of one event; C is its last axis.
      parametrization: "lu", "plain" or "householder".
      initial: "rotation" or "permutation", random ones drawn with `seed`, or
        "identity".
      seed: Python integer.
      use_bias: whether b is learned; beside an act norm, which shifts, it has no use.
      depth: steps of the flow that an event passes through, see `networks.gains`.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: for an unknown parametrisation or initial value, or one channel or a
        permutation, which may be no rotation, with "householder".

    Examples:
      >>> linear = InvertibleLinear((3,))
      >>> linear.forward(linear.inverse(tf.ones([5, 3]))).shape
      TensorShape([5, 3])

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
      [2] Tomczak, Welling. Improving variational auto-encoders using Householder flow.
          2016. arXiv:1611.09630
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        parametrization: str = "lu",
        initial: str = "rotation",
        seed: int = 0,
        *,
        use_bias: bool = False,
        depth: int = 1,
        dtype: Any = tf.float32,
        name: str = "invertible_linear",
    ):
        parameters = dict(locals())
        shape, dtype = as_shape(event_shape), tf.as_dtype(dtype)
        if parametrization not in _MATRICES or initial not in _INITIALS:
            raise ValueError(
                f"{name} needs a parametrization among {sorted(_MATRICES)} and an "
                f"initial value among {sorted(_INITIALS)}, got {parametrization!r} and "
                f"{initial!r}."
            )
        self._share = gains.share(depth)
        self._matrix = _MATRICES[parametrization](self._share)
        trainable, fixed = self._matrix.initial_weights(
            shape[-1], initial, np.random.default_rng(seed)
        )
        if use_bias:
            trainable["bias"] = np.zeros(shape[-1])
        self._use_bias = use_bias
        weights = Parameters(trainable, fixed, dtype=dtype.name, name=f"{name}_weights")
        super().__init__(
            shape,
            layers={"weights": weights},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )

    @property
    def vectorizes(self) -> bool:
        """Whether the maps of many steps can be computed as one: not by QR."""
        # TensorFlow would loop over the steps, which XLA refuses.
        return not isinstance(self._matrix, _Plain)

    def forward_map(self):
        """Returns the map from the latent to the data side."""
        kernel, log_det = self._matrix.inverse(self._layers["weights"])
        bias = -row_times(self._bias(), kernel) if self._use_bias else None
        return AffineMap(kernel, bias, log_det)

    def inverse_map(self):
        """Returns the map from the data to the latent side."""
        kernel, log_det = self._matrix.value(self._layers["weights"])
        return AffineMap(kernel, self._bias() if self._use_bias else None, log_det)

    def _bias(self):
        return tf.convert_to_tensor(self._layers["weights"]["bias"]) * self._share


class InvertibleConv1x1(InvertibleLinear):
    """Glow's invertible 1x1 convolution: `InvertibleLinear` at each position.

    Shapes: x, y `[*batch, *positions, C]` -> log_det `[]`.

    Args:
      event_shape: shape of one event with positions, such as `(H, W, C)`.
      parametrization: "lu", "plain" or "householder".
      initial: "rotation", "permutation" or "identity".
      seed: of the initial matrix, a Python integer.
      use_bias: whether a shift of each channel is learned.
      depth: steps of the flow that an event passes through, see `networks.gains`.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: for an event without positions, or options that `InvertibleLinear`
        refuses.

    Examples:
      >>> InvertibleConv1x1((4, 4, 6)).inverse(tf.ones([5, 4, 4, 6])).shape
      TensorShape([5, 4, 4, 6])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        parametrization: str = "lu",
        initial: str = "rotation",
        seed: int = 0,
        *,
        use_bias: bool = False,
        depth: int = 1,
        dtype: Any = tf.float32,
        name: str = "invertible_conv_1x1",
    ):
        if len(as_shape(event_shape)) < 2:
            raise ValueError(
                f"{name} needs events with positions, such as (height, width, "
                f"channels), got event_shape {as_shape(event_shape)}. Use "
                "InvertibleLinear for vectors."
            )
        super().__init__(
            event_shape,
            parametrization,
            initial,
            seed,
            use_bias=use_bias,
            depth=depth,
            dtype=dtype,
            name=name,
        )


class _Matrix:
    """A parametrisation of W; what is trained is divided by its gain, see `gains`.

    Args:
      share: of a step of the flow.
    """

    def __init__(self, share: float):
        self._share = share

    def _gain(self, size):
        return gains.matrix(size) * self._share


class _LU(_Matrix):
    """One array holds L below the diagonal, d on it and U above, as in LAPACK."""

    def initial_weights(self, size, initial, rng):
        packed, order = tf.linalg.lu(_initial_matrix(size, initial, rng))
        packed, order = packed.numpy(), order.numpy()
        diagonal = np.diag(packed)
        lu = (packed - np.diag(diagonal)) / self._gain(size)
        lu += np.diag(np.log(np.abs(diagonal))) / self._share
        # Row i of W is row order^-1(i) of L U.
        inverse_order = np.argsort(order).astype(np.int32)
        return {"lu": lu}, {"sign": np.sign(diagonal), "order": inverse_order}

    def value(self, weights):
        lower, upper, log_diagonal = self._factors(weights)
        rows = matmul(lower, upper)
        # A product with P rather than a gather, whose gradient is a slow scatter.
        return matmul(self._permutation(weights), rows), tf.reduce_sum(log_diagonal)

    def inverse(self, weights):
        lower, upper, log_diagonal = self._factors(weights)
        permutation = tf.transpose(self._permutation(weights))
        rows = tf.linalg.triangular_solve(lower, permutation)
        rows = tf.linalg.triangular_solve(upper, rows, lower=False)
        return rows, -tf.reduce_sum(log_diagonal)

    def _factors(self, weights):
        lu = tf.convert_to_tensor(weights["lu"])
        size = lu.shape[0]
        below = np.tri(size, k=-1, dtype=lu.dtype.as_numpy_dtype) * self._gain(size)
        log_diagonal = tf.linalg.diag_part(lu) * self._share
        lower = lu * below + np.eye(size, dtype=lu.dtype.as_numpy_dtype)
        diagonal = weights["sign"] * tf.exp(log_diagonal)
        upper = tf.linalg.set_diag(lu * below.T, diagonal)
        return lower, upper, log_diagonal

    def _permutation(self, weights):
        order = tf.convert_to_tensor(weights["order"])
        return tf.one_hot(order, order.shape[0], dtype=weights["lu"].dtype)


class _Plain(_Matrix):
    """The matrix itself."""

    def initial_weights(self, size, initial, rng):
        return {"matrix": _initial_matrix(size, initial, rng) / self._gain(size)}, {}

    def value(self, weights):
        matrix, _, triangle = self._factors(weights)
        return matrix, self._log_det(triangle)

    def inverse(self, weights):
        _, rotation, triangle = self._factors(weights)
        rows = tf.transpose(rotation)
        inverse = tf.linalg.triangular_solve(triangle, rows, lower=False)
        return inverse, -self._log_det(triangle)

    def _factors(self, weights):
        """Returns W = Q R, and Q and R: XLA knows no other way to a determinant."""
        matrix = tf.convert_to_tensor(weights["matrix"])
        matrix = matrix * self._gain(matrix.shape[-1])
        return matrix, *tf.linalg.qr(matrix)

    def _log_det(self, triangle):
        return tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(triangle))))


class _Householder(_Matrix):
    """The product of reflections I - 2 v v^T / |v|^2, all at once.

    Q = I - V T^-1 V^T with T = strictly_upper(V^T V) + diag(V^T V) / 2, whose columns
    are the vectors v (Joffrain et al. Accumulating Householder transformations,
    revisited. ACM TOMS 2006).
    """

    def initial_weights(self, size, initial, rng):
        if size < 2:
            raise ValueError(
                "Householder reflections need at least 2 channels, got 1. Use the "
                'parametrization "lu".'
            )
        if initial == "permutation":
            raise ValueError(
                "Householder reflections here make rotations, and a permutation may be "
                'none. Use the parametrization "lu" or "plain".'
            )
        count = size - size % 2  # an even number of reflections is a rotation
        # Their length is free: the longer, the less a step turns them.
        vectors = rng.standard_normal((size, count)) / self._gain(size)
        if initial == "identity":  # each reflection is undone by the next
            vectors[:, 1::2] = vectors[:, ::2]
        return {"vectors": vectors}, {}

    def value(self, weights):
        vectors = tf.convert_to_tensor(weights["vectors"])
        size, count = vectors.shape
        gram = matmul(vectors, vectors, transpose_a=True)
        upper = gram * np.triu(np.ones((count, count)), 1).astype(
            gram.dtype.as_numpy_dtype
        )
        factor = upper + tf.linalg.diag(0.5 * tf.linalg.diag_part(gram))
        solved = tf.linalg.triangular_solve(factor, tf.transpose(vectors), lower=False)
        identity = tf.eye(size, dtype=vectors.dtype)
        return identity - matmul(vectors, solved), tf.zeros([], vectors.dtype)

    def inverse(self, weights):
        matrix, log_det = self.value(weights)
        return tf.transpose(matrix), log_det


_MATRICES: dict[str, Any] = {"lu": _LU, "plain": _Plain, "householder": _Householder}


def _initial_matrix(size, initial, rng):
    if initial == "identity":
        return np.eye(size)
    if initial == "permutation":
        return np.eye(size)[rng.permutation(size)]
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    q = q * np.sign(np.diag(r))  # uniform over the orthogonal group
    q[:, 0] *= np.linalg.det(q)  # and of determinant +1: a rotation
    return q
