"""Random processes in time whose entropy rate is known, to hold models against."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
import scipy.signal
import scipy.stats

from train.pipelines.sources import Arrays

_BURN_IN = 1000  # steps before the first one that is kept


class GaussianAR:
    """x[t] = sum_k a[k] x[t-k] + scale e[t], e standard normal; stationary.

    Entropy rate: log(scale) + log(2 pi e) / 2 nats a step, whatever the coefficients.

    Args:
      coefficients: a[1], a[2], ...
      scale: of the innovations.

    Raises:
      ValueError: if the process has no stationary state.
    """

    def __init__(self, coefficients: Sequence[float], scale: float):
        self.coefficients, self.scale = tuple(coefficients), float(scale)
        companion = scipy.linalg.companion([1.0, *(-a for a in self.coefficients)])
        if max(abs(np.linalg.eigvals(companion))) >= 1.0:
            raise ValueError(
                f"The process with the coefficients {self.coefficients} is not "
                "stationary: a root lies outside of the unit circle. Make them smaller."
            )
        innovation = np.zeros_like(companion)
        innovation[0, 0] = self.scale**2
        self._covariance = scipy.linalg.solve_discrete_lyapunov(companion, innovation)

    @property
    def entropy_rate(self) -> float:
        """Nats a step."""
        return float(np.log(self.scale) + 0.5 * np.log(2.0 * np.pi * np.e))

    def draw(self, count: int, steps: int, seed: int | Sequence[int]) -> np.ndarray:
        """Returns sequences, float32 `[count, steps, 1]`."""
        noise = np.random.default_rng(seed).normal(size=(count, _BURN_IN + steps))
        feedback = [1.0, *(-a for a in self.coefficients)]
        x = scipy.signal.lfilter([self.scale], feedback, noise)
        return x[:, _BURN_IN:, None].astype(np.float32)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Returns the log-density of sequences `[N, steps, 1]`, `[N]`, in nats."""
        x, order = np.asarray(x[..., 0], np.float64), len(self.coefficients)
        start = scipy.stats.multivariate_normal(cov=self._covariance)
        mean = sum(
            a * x[:, order - k : x.shape[1] - k]
            for k, a in enumerate(self.coefficients, 1)
        )
        rest = scipy.stats.norm(mean, self.scale).logpdf(x[:, order:])
        return start.logpdf(x[:, :order]) + rest.sum(axis=1)


class MarkovChain:
    """Symbols whose next one depends on the last one; stationary.

    Entropy rate: that of each row of the matrix, weighted by the share of its symbol.

    Args:
      transitions: `[K, K]`, the probabilities of the next symbol in rows.

    Raises:
      ValueError: if the rows are no probabilities.
    """

    def __init__(self, transitions: np.ndarray):
        matrix = np.asarray(transitions, np.float64)
        if matrix.min() < 0.0 or not np.allclose(matrix.sum(axis=1), 1.0):
            raise ValueError(
                f"A Markov chain needs rows of probabilities that sum to 1, got "
                f"{matrix.tolist()}."
            )
        self._matrix = matrix
        values, vectors = np.linalg.eig(matrix.T)
        stationary = np.real(vectors[:, np.argmax(np.real(values))])
        self._stationary = stationary / stationary.sum()

    @classmethod
    def random(cls, num_values: int, seed: int) -> "MarkovChain":
        """Returns a chain with rows drawn from a flat Dirichlet distribution."""
        rows = np.random.default_rng(seed).dirichlet(np.ones(num_values), num_values)
        return cls(rows)

    @property
    def num_values(self) -> int:
        """Number of symbols."""
        return len(self._matrix)

    @property
    def entropy_rate(self) -> float:
        """Nats a step."""
        return float(self._stationary @ scipy.stats.entropy(self._matrix, axis=1))

    def draw(self, count: int, steps: int, seed: int) -> np.ndarray:
        """Returns sequences, int32 `[count, steps, 1]`."""
        uniform = np.random.default_rng(seed).random((steps, count, 1))
        upper = np.cumsum(self._matrix, axis=1)[:, :-1]
        x = (uniform[0] >= np.cumsum(self._stationary)[:-1]).sum(axis=1)
        symbols = [x]
        for u in uniform[1:]:
            symbols.append((u >= upper[symbols[-1]]).sum(axis=1))
        return np.stack(symbols, axis=1)[..., None].astype(np.int32)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Returns the log-probability of sequences `[N, steps, 1]`, `[N]`, in nats."""
        x = x[..., 0]
        with np.errstate(divide="ignore"):  # what never comes has -inf
            steps = np.log(self._matrix)[x[:, :-1], x[:, 1:]]
            return np.log(self._stationary)[x[:, 0]] + steps.sum(axis=1)


def ar_process(config: Any) -> tuple:
    """Draws sequences of a Gaussian autoregressive process; the three parts one by one.

    Args:
      config: `coefficients` and `scale` of the process, `num_steps` of a sequence,
        `num_train`, `num_valid`, `num_test`, `seed`, `context`.

    Returns:
      (sources of train, valid and test), the process under its name in `Splits`.

    Raises:
      ValueError: if it is not stationary, for sequences shorter than its memory, or if
        contexts are asked for.
    """
    if config.context:
        raise ValueError(
            "ar_process has no labels to condition on. Set config.data.context to "
            "False."
        )
    if config.num_steps <= len(config.coefficients):
        raise ValueError(
            f"config.data.num_steps is {config.num_steps}; a process with "
            f"{len(config.coefficients)} coefficients needs longer sequences. Raise it."
        )
    process = GaussianAR(config.coefficients, config.scale)
    sizes = (config.num_train, config.num_valid, config.num_test)
    parts = [
        Arrays(process.draw(size, config.num_steps, seed=[config.seed, i]))
        for i, size in enumerate(sizes)
    ]
    return tuple(parts), {"process": process}
