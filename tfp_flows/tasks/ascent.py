"""Ascent: by gradient in the code, with an augmented Lagrangian.

For each start, in units of the standard deviation among samples, with code w:

  L(w) = -objective + sum_k (max(0, m_k + r_k c_k)^2 - m_k^2) / (2 r_k)

where c_k are the constraints and the bound on the density, satisfied at c_k <= 0.
After a round of steps m_k <- max(0, m_k + r_k c_k), and r_k grows where c_k > 0 has not
shrunk (Hestenes, 1969; Powell, 1969; the form for inequalities is Rockafellar's, 1973).
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from tfp_flows import progress
from tfp_flows.tasks.problem import Judged, Problem

_ROUNDS = 30
_MARGIN = 1e-3  # multipliers converge from outside; aimed at is a little more inside
_FIRST_PENALTY, _LAST_PENALTY, _GROWTH = 1.0, 1e3, 1.5
_SHRUNK = 0.7  # a constraint that shrinks so in a round needs no larger penalty


class _Best(NamedTuple):
    """The best code of each start so far: least violation first, then objective."""

    code: tf.Tensor
    violation: tf.Tensor  # [N]
    objective: tf.Tensor  # [N]

    def or_better(self, code: tf.Tensor, judged: Judged) -> "_Best":
        better = judged.violation < self.violation
        same = judged.violation == self.violation
        better |= same & (judged.objective > self.objective)
        rows = tf.reshape(better, [-1] + [1] * (code.shape.rank - 1))
        return _Best(
            tf.where(rows, code, self.code),
            tf.where(better, judged.violation, self.violation),
            tf.where(better, judged.objective, self.objective),
        )


class Ascent:
    """Starts that climb side by side, each with multipliers of its own.

    Args:
      problem: to solve; its functions are TensorFlow's.
      starts: events `[N, *event_shape]`.
      num_steps: of Adam, in all.
      rate: of Adam at the beginning, in standard deviations of the code; a cosine
        takes it to 0.
    """

    def __init__(
        self, problem: Problem, starts: tf.Tensor, num_steps: int, rate: float
    ):
        self._problem = problem
        # A unit of the code is its standard deviation, also where it is the event.
        codes = problem.asked.encode(problem.samples)
        self._centre, variance = tf.nn.moments(codes, axes=[0])
        self._unit = tf.where(variance > 0, tf.sqrt(variance), 1.0)
        start = (problem.asked.encode(starts) - self._centre) / self._unit
        self._code = keras.Variable(start, dtype=start.dtype.name, name="code")
        self._steps = max(1, num_steps // _ROUNDS)
        schedule = keras.optimizers.schedules.CosineDecay(rate, self._steps * _ROUNDS)
        self._adam = keras.optimizers.Adam(schedule)
        self._adam.build([self._code])

    def run(self) -> list[tf.Tensor]:
        """Climbs, and returns candidates: the best events of each start and the last.

        Returns:
          Two tensors `[N, *event_shape]`.
        """
        code = self._code.value
        judged = self._problem.judge(self._events(code))
        best = _Best(tf.identity(code), judged.violation, judged.objective)
        multipliers = tf.zeros_like(judged.excess)
        penalties = _FIRST_PENALTY + multipliers
        one_round = tf.function(self._round, autograph=False)
        left = tf.maximum(judged.excess + _MARGIN, 0.0)
        for _ in progress.steps(range(_ROUNDS), "optimising"):
            best, excess = one_round(best, multipliers, penalties)
            aimed = excess + _MARGIN
            multipliers = tf.maximum(multipliers + penalties * aimed, 0.0)
            now = tf.maximum(aimed, 0.0)
            larger = tf.minimum(penalties * _GROWTH, _LAST_PENALTY)
            penalties = tf.where(now > _SHRUNK * left, larger, penalties)
            left = now
        return [self._events(best.code), self._events(self._code.value)]

    def _round(self, best, multipliers, penalties):
        def step(i, best, _):
            code = tf.identity(self._code.value)
            gradient, judged = self._gradient(code, multipliers, penalties)
            best = best.or_better(code, judged)
            self._adam.apply([gradient], [self._code])
            return i + 1, best, judged.excess

        excess = tf.zeros_like(multipliers)
        _, best, excess = tf.while_loop(
            lambda i, *_: i < self._steps, step, (0, best, excess)
        )
        return best, excess

    def _gradient(self, code, multipliers, penalties):
        with tf.GradientTape() as tape:
            tape.watch(code)
            judged = self._problem.judge(self._events(code))
            pushed = tf.maximum(
                multipliers + penalties * (judged.excess + _MARGIN), 0.0
            )
            loss = tf.reduce_sum(pushed**2 / (2.0 * penalties)) - tf.reduce_sum(
                judged.objective
            )
        gradient = tape.gradient(loss, code)
        # A start that has left what the arithmetic can hold stays where it is.
        return tf.where(tf.math.is_finite(gradient), gradient, 0.0), judged

    def _events(self, code):
        return self._problem.asked.decode(self._centre + self._unit * code)
