"""The units of a table: each column by its own kind."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.elements.column_facts import (
    LINE,
    check_enough,
    facts,
    on_line,
    refuse,
)
from tfp_flows.distributions.elements.element import (
    Element,
    above_0,
    as_real,
    inverse_cdf,
    logistic_log_density,
    pick,
    soft_bound,
)
from tfp_flows.networks.moments import moments
from tfp_flows.networks.weights.parameters import Parameters
from tfp_flows.tables import Column

_SCALE_BOUND = 7.0  # of |log s| around the first scale, as in PixelCNN++
_NEVER = -1e9  # logit of what a column has not


class MixedColumns(Element):
    """One unit for each column of a table; what is missing is NaN.

    real, bounded, positive:  sum_k pi_k logistic(w; mu_k, s_k) |dw/dx|, with w = x,
                              log((x - low) / (high - x)), log x, standardised
    integer:   the mass of [x - 1/2, x + 1/2] of such a mixture; the ends take the tails
    periodic:  sum_k pi_k wrapped Cauchy(2 pi x / period; mu_k, r_k), each a Moebius map
               of the uniform circle [1]: continuous across the seam
    category, boolean:  a free probability for each value

    A missing unit has log p = 0, a value that the column cannot hold -inf. The network
    is shown standardised numbers, (cos, sin), or an indicator; zeros for what is
    missing. Params of all columns are padded to the largest number.

    Temperature divides the logits and multiplies the scales.

    Shapes: as in `Element`, with C = D, all columns in order; `at` has C = 1.

    Args:
      columns: of the table.
      num_components: of the mixtures.
      dtype: of the units.
      name: of the layer that holds means and scales.

    Raises:
      ValueError: if `num_components` is not positive.

    Examples:
      >>> columns = [Column("age", "integer"), Column("smokes", "boolean")]
      >>> element = MixedColumns(columns, 2)
      >>> params = tf.zeros([1, 2, element.num_params])
      >>> element.log_prob(params, tf.constant([[np.nan, 1.0]])).numpy().round(3)
      array([-0.693], dtype=float32)

    References:
      [1] Rezende, Papamakarios, Racaniere, Albergo, Kanwar, Shanahan, Cranmer.
          Normalizing flows on tori and spheres. ICML 2020. arXiv:2002.02428
    """

    num_uniforms = 2

    def __init__(
        self,
        columns: Sequence[Column],
        num_components: int = 8,
        dtype: Any = tf.float32,
        name: str = "columns",
    ):
        if num_components < 1:
            raise ValueError(
                f"A table needs num_components >= 1, got {num_components}."
            )
        self.columns = list(columns)
        self._dtype = tf.as_dtype(dtype)
        self._most = max(column.num_values for column in columns)
        self._count = num_components
        numbers = any(not column.num_values for column in columns)
        self.num_params = max(3 * num_components * numbers, self._most)
        periodic = any(column.kind == "periodic" for column in columns)
        self.num_features = max(1 + periodic, self._most)
        self._table = facts(self.columns, self._dtype.as_numpy_dtype)
        zeros = np.zeros(len(self.columns))
        self.layer = Parameters(
            fixed={
                "center": zeros,
                "rest": zeros,
                "scale": zeros + 1.0,
                "adapted": np.array(False),
            },
            dtype=self._dtype.name,
            name=f"{name}_moments",
        )
        self._position: tf.Tensor | None = None

    def at(self, position: tf.Tensor) -> "MixedColumns":
        """Returns the element of one column, C = 1.

        Args:
          position: int32 `[]`, or `[N]` for a column of each row.
        """
        one = object.__new__(MixedColumns)
        one.__dict__.update(self.__dict__, _position=position)
        return one

    @property
    def is_adapted(self) -> bool:
        """Whether the numbers' means and scales were taken from data."""
        return bool(self.layer["adapted"].numpy())

    def adapt(self, x: Any) -> None:
        """Sets means and scales to those of the values that are there, as rounded.

        Args:
          x: `[N, D]`, NaN where missing.

        Raises:
          ValueError: for a value that a column cannot hold, or a column of numbers with
            less than two of them.

        Warns:
          UserWarning: if a column that has a density holds one value alone.
        """
        x = np.asarray(x, self._dtype.as_numpy_dtype)
        self.check(tf.constant(x))
        center, rest = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        scale = np.ones(x.shape[1])
        for i, column in enumerate(self.columns):
            values = x[~np.isnan(x[:, i]), i].astype(np.float64)
            check_enough(column, values, len(x))
            if column.kind in LINE:
                line = on_line(column, values).astype(x.dtype)[:, None]
                found = moments(line, x.dtype.type, column.name)
                center[i], rest[i] = found.center[0], found.rest[0]
                scale[i] = found.scale[0]
        self.layer.assign(center=center, rest=rest, scale=scale, adapted=True)

    def fits(self, x: tf.Tensor) -> tf.Tensor:
        """Returns whether values are ones that the columns can hold; False for NaN."""
        at = self._fact
        whole = (x == tf.floor(x)) | ~(at("is_integer") | at("is_code"))
        return (x >= at("first")) & (x <= at("last")) & whole

    def check(self, x: tf.Tensor) -> None:
        """Refuses numbers that the columns cannot hold, where they can be seen.

        Args:
          x: `[..., D]`, NaN where missing; nothing is said of tensors of a graph.

        Raises:
          ValueError: by the first such column.
        """
        if hasattr(x, "numpy"):
            bad = ~self.fits(x) & ~tf.math.is_nan(x)
            refuse(self.columns, x.numpy(), bad.numpy())

    def log_prob(self, params: tf.Tensor, x: tf.Tensor):
        """Returns the sum of log p over the columns, `[...]`."""
        return tf.reduce_sum(self.log_prob_of_each(params, x), axis=-1)

    def log_prob_of_each(self, params: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Returns log p of each unit, `[..., C]`: 0 if missing, -inf if none."""
        at = self._fact
        missing, fits = tf.math.is_nan(x), self.fits(x)
        x = tf.where(fits, x, at("inside"))
        total = tf.zeros_like(x)
        if self._has("is_line"):
            white, log_slope = self._white(x)
            logits, means, log_scales = self._components(params)
            apart = white[..., None] - means
            density = logistic_log_density(apart, log_scales)
            density = tf.reduce_logsumexp(logits + density, axis=-1) + log_slope
            total = tf.where(at("is_line"), density, total)
            if self._has("is_integer"):
                mass = tf.reduce_logsumexp(
                    logits + self._log_cells(x, apart, log_scales), axis=-1
                )
                total = tf.where(at("is_integer"), mass, total)
        if self._has("is_periodic"):
            total = tf.where(at("is_periodic"), self._log_circle(params, x), total)
        if self._has("is_code"):
            mass = pick(tf.nn.log_softmax(self._logits(params)), tf.cast(x, tf.int32))
            total = tf.where(at("is_code"), mass, total)
        total = tf.where(fits, total, -math.inf)
        return tf.where(missing, tf.zeros_like(total), total)

    def from_uniform(self, params: tf.Tensor, u: tf.Tensor, temperature: Any = 1.0):
        """Returns a draw: the first number chooses the component or the value."""
        at = self._fact
        hot = as_real(temperature, params.dtype)
        hot = tf.broadcast_to(hot, tf.shape(params)[:-1])
        drawn = tf.zeros_like(params[..., 0])
        if self._has("is_line"):
            logits, means, log_scales = self._components(params)
            chosen = inverse_cdf(logits / hot[..., None], u[..., 0])
            noise = tf.math.log(u[..., 1]) - tf.math.log1p(-u[..., 1])
            scale = hot * tf.exp(pick(log_scales, chosen))
            drawn = self._from_white(pick(means, chosen) + scale * noise)
        if self._has("is_periodic"):
            logits, means, log_widths = self._arcs(params)
            chosen = inverse_cdf(logits / hot[..., None], u[..., 0])
            width = hot * tf.exp(pick(log_widths, chosen))
            turned = 2.0 * tf.atan(width * tf.tan(math.pi * (u[..., 1] - 0.5)))
            turns = (pick(means, chosen) + turned) / (2.0 * math.pi)
            turns = turns - tf.floor(turns)
            x = tf.where(turns < 1.0, turns, 0.0) * at("period")
            drawn = tf.where(at("is_periodic"), tf.minimum(x, at("last")), drawn)
        if self._has("is_code"):
            code = inverse_cdf(self._logits(params) / hot[..., None], u[..., 0])
            code = tf.minimum(tf.cast(code, params.dtype), at("high"))
            drawn = tf.where(at("is_code"), code, drawn)
        return drawn

    def features(self, x: tf.Tensor, dtype: Any):
        """Returns numbers, (cos, sin) or indicators of all columns, side by side."""
        at = self._fact
        x = tf.where(self.fits(x), x, math.nan)
        missing = tf.math.is_nan(x)[..., None]
        x = tf.where(missing[..., 0], at("inside"), x)
        shown = tf.zeros([*x.shape[1:], self.num_features], x.dtype)
        if self._has("is_line"):
            white = self._white(x)[0][..., None]
            padded = tf.pad(white, [[0, 0]] * x.shape.rank + [[0, self._padding(1)]])
            shown = tf.where(at("is_line")[..., None], padded, shown)
        if self._has("is_periodic"):
            angle = 2.0 * math.pi * x / at("period")
            pair = tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)
            padded = tf.pad(pair, [[0, 0]] * x.shape.rank + [[0, self._padding(2)]])
            shown = tf.where(at("is_periodic")[..., None], padded, shown)
        if self._has("is_code"):
            hot = tf.one_hot(tf.cast(x, tf.int32), self.num_features, dtype=x.dtype)
            shown = tf.where(at("is_code")[..., None], hot, shown)
        shown = tf.cast(tf.where(missing, tf.zeros_like(shown), shown), dtype)
        width = len(self.columns) * self.num_features
        return tf.reshape(shown, tf.concat([tf.shape(x)[:-1], [width]], axis=0))

    def _padding(self, width):
        return self.num_features - width

    def _has(self, kind):
        return bool(self._table[kind].any())

    def _fact(self, name):
        """What is known of the columns asked about: `[D]`, `[1]` or `[N, 1]`."""
        is_weight = name in ("center", "rest", "scale")
        value = self.layer[name] if is_weight else self._table[name]
        value = tf.convert_to_tensor(value)
        if self._position is None:
            return value
        return tf.gather(value, self._position)[..., None]

    def _white(self, x):
        """Returns numbers standardised on the line, and log|d white / dx|."""
        at = self._fact
        on_line, log_slope = x, tf.zeros_like(x)
        if self._has("is_positive"):
            safe = tf.where(at("is_positive"), x, tf.ones_like(x))
            on_line = tf.where(at("is_positive"), tf.math.log(safe), on_line)
            log_slope = tf.where(at("is_positive"), -tf.math.log(safe), log_slope)
        if self._has("is_bounded"):
            inside = tf.where(at("is_bounded"), x, at("inside"))
            below = tf.math.log(above_0(inside - at("low")))
            above = tf.math.log(above_0(at("high") - inside))
            on_line = tf.where(at("is_bounded"), below - above, on_line)
            slope = tf.math.log(above_0(at("high") - at("low"))) - below - above
            log_slope = tf.where(at("is_bounded"), slope, log_slope)
        white = (on_line - at("center")) / at("scale") - at("rest")
        return white, log_slope - tf.math.log(at("scale"))

    def _from_white(self, white):
        at = self._fact
        on_line = (white + at("rest")) * at("scale") + at("center")
        x = on_line
        if self._has("is_positive"):
            x = tf.where(at("is_positive"), tf.exp(tf.minimum(on_line, 88.0)), x)
        if self._has("is_bounded"):
            inside = at("low") + (at("high") - at("low")) * tf.sigmoid(on_line)
            x = tf.where(at("is_bounded"), inside, x)
        x = tf.where(at("is_integer"), tf.round(x), x)
        return tf.clip_by_value(x, at("first"), at("last"))

    def _components(self, params):
        """Returns log weights, means and log scales of logistics, `[..., C, K]`."""
        count = self._count
        logits, means, raw = tf.split(params[..., : 3 * count], 3, axis=-1)
        place = 4.0 * (np.arange(count) + 0.5) / count - 2.0
        # Half of the way from one mean to the next; a logistic's deviation is 1.8 s.
        first = math.log(min(1.0, 2.0 / count) / 1.8)
        log_scales = first + soft_bound(raw, _SCALE_BOUND)
        return (
            tf.nn.log_softmax(logits),
            means + as_real(place, params.dtype),
            log_scales,
        )

    def _log_cells(self, x, apart, log_scales):
        """Returns log(F(x + 1/2) - F(x - 1/2)), as `DiscretizedLogisticMixture`."""
        at = self._fact
        half = tf.where(at("is_integer"), 0.5 / at("scale"), 0.5)[..., None]
        inverse_scale = tf.exp(-log_scales)
        plus, minus = (inverse_scale * (apart + h) for h in (half, -half))
        zero = tf.zeros([], x.dtype)
        is_first, is_last = ((x == at(end))[..., None] for end in ("first", "last"))
        log_below = tf.where(is_last, zero, tf.math.log_sigmoid(plus))
        log_above = tf.where(is_first, zero, tf.math.log_sigmoid(-minus))
        log_rest = tf.math.log(-tf.math.expm1(-2.0 * half * inverse_scale))
        return log_below + log_above + tf.where(is_first | is_last, zero, log_rest)

    def _arcs(self, params):
        """Returns log weights, angles and log widths of arcs, `[..., C, K]`."""
        count = self._count
        logits, means, raw = tf.split(params[..., : 3 * count], 3, axis=-1)
        place = 2.0 * math.pi * (np.arange(count) + 0.5) / count
        first = math.log(math.tanh(math.pi / count))  # neighbours overlap
        log_widths = first + soft_bound(raw, _SCALE_BOUND)
        return (
            tf.nn.log_softmax(logits),
            means + as_real(place, params.dtype),
            log_widths,
        )

    def _log_circle(self, params, x):
        """Each arc: log(w / (w^2 cos^2 + sin^2) / period) of half the angle."""
        at = self._fact
        logits, means, log_widths = self._arcs(params)
        half = math.pi * (x / at("period"))[..., None] - 0.5 * means
        spread = tf.exp(2.0 * log_widths) * tf.cos(half) ** 2 + tf.sin(half) ** 2
        log_arc = log_widths - tf.math.log(spread)
        log_period = tf.math.log(at("period"))
        return tf.reduce_logsumexp(logits + log_arc, axis=-1) - log_period

    def _logits(self, params):
        place = tf.range(self._most, dtype=params.dtype)
        there = place <= self._fact("high")[..., None]
        return tf.where(there, params[..., : self._most], _NEVER)
