"""The served functions of an autoregressive model.

| signature    | inputs                               | outputs                    |
|--------------|--------------------------------------|----------------------------|
| log_prob     | x [B, *E]                            | log_prob f32 [B]           |
| sample       | seed i64 [B, 2], temperature f32 [B] | x f32 [B, *E], log_prob    |
| complete     | x, known i32 [B, *E], seed           | x f32 [B, *E], log_prob    |
| bits_per_dim | x i32 [B, *E]                        | bits_per_dim [B], log_prob |

x is int32 for integer data, for which `bits_per_dim` is there, and float32 otherwise.
`serving_default`, `anomaly_score`, `valid`, `context` and `label` are as for flows, see
`flow_endpoints`.

`complete` draws the units whose `known` is 0 given those whose it is 1, exactly. The
known ones must come first in the model's order, or the row is not valid; x may hold any
finite number where it is not known. log_prob is that of the whole event.

`log_prob` is exact, in nats: of integers the log of a probability, with no noise and no
seed. There is no latent space, so no `encode` and no `decode`. `sample` makes its rows
position by position, each of uniform numbers that belong to its seed; integers come as
float32, so that an invalid row can be told. Their log_prob is that of the model itself,
at temperature 1. A draw turns on whether a uniform number is above a sum of
probabilities: where both agree to the last bits, a batch of another size, rounded
otherwise, may continue a sample differently.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Autoregressive
from tfp_flows.serving import row_noise, row_seeds
from tfp_flows.serving.endpoints import Endpoints, check_model, each_row, spec

# How far uniform numbers are moved to see how steady a sample is: some ten times what
# float32 leaves open in a sum of probabilities.
_NUDGE = 2e-6
_CANDIDATES = 4  # seeds tried for each golden sample


class AutoregressiveEndpoints(Endpoints):
    """Traces the served functions of an `Autoregressive` distribution.

    Args:
      model: the distribution.
      nonfinite: what an invalid row holds, "nan" or "sentinel" (float32's lowest).
      labels: whether `label` takes the place of `context`, see `Endpoints`.

    Raises:
      ValueError: if `nonfinite` is neither.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.recurrent((3, 1), (4,), num_values=2)
      >>> sorted(AutoregressiveEndpoints(model).functions())
      ['bits_per_dim', 'complete', 'log_prob', 'sample']
    """

    def __init__(
        self, model: Autoregressive, nonfinite: str = "nan", labels: bool = False
    ):
        check_model(model)
        super().__init__(model, nonfinite, labels, model.real_dtype)
        self._model = model

    def signatures(self):
        """Returns the inputs of each signature, in order, without `context`."""
        integer = self._model.num_values is not None
        shape = tuple(self._model.event_shape.as_list())
        event = {"x": spec(shape, tf.int32 if integer else tf.float32)}
        seed, temperature = spec((2,), tf.int64), spec(())
        signatures = {
            "log_prob": event,
            "sample": {"seed": seed, "temperature": temperature},
        }
        known = {"known": spec(shape, tf.int32), "seed": seed}
        signatures["complete"] = event | known
        return {**signatures, "bits_per_dim": event} if integer else signatures

    def golden_masks(self, count: int):
        """Returns masks of which row i does not know the last i positions."""
        order = self._model.network.order
        masks = np.ones([count, order.size], np.int32)
        for row in range(count):
            masks[row, order[max(len(order) - row, 0) :]] = 0
        return masks.reshape([count, *self._model.event_shape])

    def golden_seeds(self, temperature: Any, context: Any):
        """Returns those seeds whose samples change least when their uniforms move.

        Rounding moves them a little, and may decide a draw and so all that follow it.
        """
        count = len(temperature)
        seeds = row_seeds.seeds(0, _CANDIDATES * count)
        u = self._uniforms(seeds).numpy()
        again = _CANDIDATES * 3
        nudged = [np.clip(u + d, 2.0**-24, 1 - 2.0**-24) for d in (-_NUDGE, 0, _NUDGE)]
        low, x, high = np.split(
            self._draw(
                np.concatenate(nudged),
                np.tile(temperature, again),
                None if context is None else _repeated(context, again),
            ).astype(np.float64),
            3,
        )
        change = np.maximum(np.abs(low - x), np.abs(high - x))
        change = change.reshape([_CANDIDATES, count, -1]).max(axis=-1)
        best = np.argmin(change, axis=0)
        return seeds.reshape([_CANDIDATES, count, 2])[best, np.arange(count)]

    def _uniforms(self, seed):
        return row_noise.row_uniform(tf.constant(seed), self._model.num_uniforms)

    def _draw(self, u, temperature, context) -> np.ndarray:
        context = None if context is None else tf.cast(context, self._real)
        return self._model.from_uniform(u, context, temperature).numpy()

    def _log_prob(self, x, **context):
        # -inf where the integers are out of range, which is not finite: not valid.
        return {"log_prob": self._model.log_prob(x, **context)}, []

    def _sample(self, seed, temperature, **context):
        is_good = tf.math.is_finite(temperature) & (temperature > 0)
        temperature = tf.where(is_good, temperature, tf.ones_like(temperature))
        u = row_noise.row_uniform(seed, self._model.num_uniforms)
        x = self._model.from_uniform(u, temperature=temperature, **context)
        return {"x": x, "log_prob": self._model.log_prob(x, **context)}, [is_good]

    def _complete(self, x, known, seed, **context):
        blocks = tf.reshape(known, [-1, self._model.network.order.size])
        blocks = tf.gather(blocks, self._model.network.order, axis=1)
        whole, some = (
            tf.reduce_all(blocks == 1, axis=2),
            tf.reduce_any(blocks == 1, axis=2),
        )
        in_range = [
            each_row((known == 0) | (known == 1)),
            # What is known of one position comes after all that was before it.
            tf.reduce_all(whole[:, :-1] | ~some[:, 1:], axis=1),
        ]
        if self._model.element.block_size:  # drawn together
            in_range.append(tf.reduce_all(whole == some, axis=1))
        u = row_noise.row_uniform(seed, self._model.num_uniforms)
        x = self._model.from_uniform(u, known=(x, known == 1), **context)
        return {"x": x, "log_prob": self._model.log_prob(x, **context)}, in_range

    def _bits_per_dim(self, x, **context):
        log_prob = self._model.log_prob(x, **context)
        size = self._model.event_shape.num_elements()
        bits = -log_prob / (size * math.log(2.0))
        return {"bits_per_dim": bits, "log_prob": log_prob}, []


def _repeated(rows, times):
    """Returns rows one after the other, all of them, several times."""
    return np.concatenate([rows] * times)
