"""RealNVP's map of single units: a shift and a scale."""

import math

import tensorflow as tf

from tfp_flows.scalar_maps.scalar_map import ScalarMap


class Affine(ScalarMap):
    """y = (x + shift) exp(log_scale), where log_scale is a function of raw parameters.

    "tanh":      scale_bound tanh(raw)
    "soft_clip": scale_bound 2 / pi atan(raw pi / 2 / scale_bound), as in FrEIA [1]
    "sigmoid":   log sigmoid(raw + 2) - log sigmoid(2), at most 0.13, as in Glow [2]
    "exp":       raw itself

    All are 0 where raw is, with the slopes scale_bound, 1, 0.12 and 1. The shift is on
    the latent side of the scale, so its gradient does not explode with the scale. With
    the first two |log_scale| <= scale_bound, so no layer can overflow, however far its
    input lies; the others promise no such thing.

    Shapes: x, y, shift and raw `[..., units]`.

    Args:
      scale_bound: largest |log_scale|, 2 if None; for "tanh" and "soft_clip" only.
      scale: the name of the function.

    Raises:
      ValueError: for an unknown name, or a bound that is not positive or has no use.

    Examples:
      >>> y, log_slope = Affine(2.0).forward(tf.ones([3]), tf.ones([3]), tf.zeros([3]))
      >>> print(y.numpy(), log_slope.numpy())
      [2. 2. 2.] [0. 0. 0.]

    References:
      [1] Ardizzone et al. FrEIA: Framework for easily invertible architectures. 2018.
      [2] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039, in its published code.
    """

    num_params = 2

    def __init__(self, scale_bound: float | None = None, scale: str = "tanh"):
        if scale not in _SCALES:
            raise ValueError(
                f"An affine map has no scale {scale!r}. Choose from "
                f"{', '.join(_SCALES)}."
            )
        is_bounded = scale in ("tanh", "soft_clip")
        if scale_bound is not None and not is_bounded:
            raise ValueError(
                f"scale={scale!r} of an affine map has no bound, got scale_bound="
                f"{scale_bound}. Drop it, or take tanh or soft_clip."
            )
        bound = 2.0 if scale_bound is None else scale_bound
        if not bound > 0:
            raise ValueError(
                f"An affine map needs scale_bound > 0, got {scale_bound}. For a map "
                "without scale use Shift, or AdditiveCoupling."
            )
        self._bound, self._scale = float(bound), scale

    def forward(self, x: tf.Tensor, shift: tf.Tensor, raw: tf.Tensor):
        """Returns (x + shift) exp(log_scale) and log_scale."""
        log_scale = _SCALES[self._scale](raw, self._bound)
        return (x + shift) * tf.exp(log_scale), log_scale

    def inverse(self, y: tf.Tensor, shift: tf.Tensor, raw: tf.Tensor):
        """Returns y exp(-log_scale) - shift and log_scale."""
        log_scale = _SCALES[self._scale](raw, self._bound)
        return y / tf.exp(log_scale) - shift, log_scale


def _soft_clip(raw, bound):
    share = 2.0 / math.pi * bound
    return share * tf.atan(raw / share)


def _log_sigmoid(raw, bound):
    return tf.math.log_sigmoid(raw + 2.0) + math.log1p(math.exp(-2.0))


_SCALES = {
    "tanh": lambda raw, bound: bound * tf.tanh(raw),
    "soft_clip": _soft_clip,
    "sigmoid": _log_sigmoid,
    "exp": lambda raw, bound: raw,
}
