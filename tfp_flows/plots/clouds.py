"""Vectors as points: beside data, over a density, column against column."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

_MOST_COLUMNS = 12  # of a corner plot that can still be read


def points(samples: Any, data: Any) -> Figure:
    """Draws the first two columns of samples and data as points, side by side.

    Args:
      samples: `[M, D]`.
      data: `[N, D]`; one column is drawn against itself.

    Raises:
      ValueError: if they are no tables of as many columns.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(50, 3))
      >>> [axis.get_title() for axis in points(x, x).axes]
      ['samples', 'data']
    """
    samples, data = _tables(samples, data)
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, x, title in zip(axes, (samples, data), ("samples", "data"), strict=True):
        axis.scatter(x[:, 0], x[:, 1 % x.shape[1]], s=3, alpha=0.5)
        axis.set(title=title, xlabel="x0")
    axes[0].set_ylabel(f"x{1 % samples.shape[1]}")
    return figure


def density(
    log_prob: Callable, samples: Any, data: Any = None, num_points: int = 200
) -> Figure:
    """Draws the density of a two-dimensional model, with points on it.

    Args:
      log_prob: such as `model.log_prob`; of `[N, 2]` in float32, in nats.
      samples: of the model, `[M, 2]`.
      data: `[N, 2]`, drawn beside the samples.
      num_points: of the grid along each axis.

    Raises:
      ValueError: if points do not have two columns.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((2,))
      >>> figure = density(flow.log_prob, flow.sample(200, seed=1))
    """
    shown = {"samples": np.asarray(samples)}
    if data is not None:
        shown["data"] = np.asarray(data)
    for title, x in shown.items():
        if x.ndim != 2 or x.shape[1] != 2 or len(x) == 0:
            raise ValueError(
                f"density draws two dimensions, got {title} of shape {x.shape}. Give "
                "[N, 2], or draw all columns with plots.corner."
            )
    everything = np.concatenate(list(shown.values()))
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.1 * (high - low) + 1e-6
    sides = np.linspace(low - margin, high + margin, num_points, dtype=np.float32).T
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    values = np.exp(np.asarray(log_prob(grid), np.float64))
    values = values.reshape(num_points, num_points)
    figure = Figure(figsize=(4.2 * len(shown) + 0.6, 4), layout="constrained")
    axes = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    for axis, (title, x) in zip(axes, shown.items(), strict=True):
        mesh = axis.pcolormesh(*sides, values, cmap="Blues", rasterized=True)
        axis.scatter(*x.T, s=3, c="C3", alpha=0.5, linewidths=0)
        axis.set(title=f"density and {title}", xlabel="x0")
    axes[0].set_ylabel("x1")
    figure.colorbar(mesh, ax=axes, label="p(x)")
    return figure


def corner(samples: Any, data: Any, names: Sequence[str] | None = None) -> Figure:
    """Draws every pair of columns: data (grey) and samples of a table on each other.

    Args:
      samples: `[M, D]`.
      data: `[N, D]`; what is missing (NaN) is left out, column by column.
      names: of the columns.

    Raises:
      ValueError: if they are no tables of as many columns, or of too many to be read.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(50, 3))
      >>> len(corner(x, x, ["a", "b", "c"]).axes)
      9
    """
    samples, data = _tables(samples, data)
    size = data.shape[1]
    names = [f"x{i}" for i in range(size)] if names is None else list(names)
    if size > _MOST_COLUMNS or len(names) != size:
        raise ValueError(
            f"corner got {size} columns and {len(names)} names. Give as many names, "
            f"and choose {_MOST_COLUMNS} columns at most."
        )
    side = 1.5 * size + 0.6
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots(size, size, sharex="col", squeeze=False)
    for row in range(size):
        for column in range(size):
            axis = axes[row, column]
            if column > row:
                axis.axis("off")
            elif column == row:
                _histograms(axis, data[:, row], samples[:, row])
            else:
                axis.scatter(data[:, column], data[:, row], s=2, c="0.6")
                axis.scatter(
                    samples[:, column], samples[:, row], s=2, c="C0", alpha=0.5
                )
            axis.tick_params(labelsize=6, labelleft=column == 0 < row)
        axes[row, 0].set_ylabel(names[row], fontsize=8)
        axes[-1, row].set_xlabel(names[row], fontsize=8)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper right")
    return figure


def _histograms(axis, data, samples):
    data, samples = data[~np.isnan(data)], samples[~np.isnan(samples)]
    edges = np.histogram_bin_edges(np.concatenate([data, samples]), 30)
    axis.hist(data, edges, density=True, color="0.75", label="data")
    axis.hist(
        samples, edges, density=True, histtype="step", color="C0", label="samples"
    )
    axis.set_yticks([])


def _tables(samples, data):
    samples, data = np.asarray(samples), np.asarray(data)
    if samples.ndim != 2 or samples.shape[1:] != data.shape[1:] or len(data) == 0:
        raise ValueError(
            f"Points must be tables [N, D] of as many columns, got samples of shape "
            f"{samples.shape} and data of shape {data.shape}."
        )
    return samples, data
