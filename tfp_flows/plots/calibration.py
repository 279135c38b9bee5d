"""Findings of diagnostics: codes and coverage with their bands, shares of nats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import special

_MOST_LINES = 100  # codes that are drawn besides the worst


def latent_normality(pit: Any, band: Any) -> Figure:
    """Draws how codes depart from normal: quantiles (left), and PIT with its band.

    Right: the share of values up to u, minus u; of a right model 95 of 100 codes stay
    within the band. Left: the same as quantiles of z. The code that is furthest off is
    red; of more than 100 every n-th is drawn.

    Args:
      pit: codes as uniform numbers, `[N, D]`, as `LatentNormality.pit`.
      band: with `points`, `lower` and `upper` `[K]`, as `LatentNormality.band`.

    Raises:
      ValueError: if pit is no matrix of numbers between 0 and 1.

    Examples:
      >>> from tfp_flows import diagnostics
      >>> u = np.random.default_rng(0).random((200, 3))
      >>> figure = latent_normality(u, diagnostics.UniformBand.of(200))
    """
    pit = np.asarray(pit)
    if pit.ndim != 2 or len(pit) < 2 or not np.all((pit >= 0) & (pit <= 1)):
        raise ValueError(
            f"latent_normality draws numbers between 0 and 1, [N, D], got shape "
            f"{pit.shape}. Take diagnostics.latent_normality(...).pit."
        )
    ordered = np.sort(pit, axis=0)
    count, size = pit.shape
    even = (np.arange(count) + 0.5) / count
    worst = int(np.abs(ordered - even[:, None]).max(axis=0).argmax())
    figure = Figure(figsize=(9, 4), layout="constrained")
    quantiles, shares = figure.subplots(1, 2)
    drawn = {*range(0, size, -(-size // _MOST_LINES)), worst}
    for i, style in _styles(drawn, worst).items():
        quantiles.plot(_normal(even), _normal(ordered[:, i]), **style)
        shares.plot(ordered[:, i], even - ordered[:, i], **style)
    quantiles.axline((0, 0), slope=1, c="k", lw=0.8, ls="--")
    # A band for the share of values up to u is one for the quantiles of that share.
    for edge in (band.lower, band.upper):
        quantiles.plot(_normal(edge), _normal(band.points), c="C0", lw=0.8)
    limit = _normal(even[-1]) + 0.2
    quantiles.set(xlim=(-limit, limit), xlabel="quantile of a normal", ylabel="z")
    _band(shares, band)
    shares.set(xlabel="u = PIT", ylabel="share of values up to u, minus u")
    for axis in (quantiles, shares):
        axis.legend(fontsize=7)
    return figure


def coverage(content: Any, band: Any) -> Figure:
    """Draws the share of held-out data in regions of high density of each content.

    Args:
      content: `[N]`, as `Coverage.content`.
      band: with `points`, `lower` and `upper` `[K]`, as `Coverage.band`.

    Raises:
      ValueError: if the content is no list of numbers between 0 and 1.

    Examples:
      >>> from tfp_flows import diagnostics
      >>> content = np.random.default_rng(0).random(200)
      >>> figure = coverage(content, diagnostics.UniformBand.of(200))
    """
    content = np.sort(np.asarray(content))
    if content.ndim != 1 or len(content) < 2 or content[0] < 0 or content[-1] > 1:
        raise ValueError(
            f"coverage draws numbers between 0 and 1, [N], got shape {content.shape}. "
            "Take diagnostics.coverage(...).content."
        )
    share = np.arange(1, len(content) + 1) / len(content)
    figure = Figure(figsize=(9, 4), layout="constrained")
    plain, apart = figure.subplots(1, 2)
    plain.step(content, share, where="post", c="C3", label="held-out data")
    plain.axline((0, 0), slope=1, c="k", lw=0.8, ls="--")
    plain.fill_between(
        band.points, band.lower, band.upper, alpha=0.3, lw=0, label="band"
    )
    apart.step(content, share - content, where="post", c="C3", label="held-out data")
    _band(apart, band)
    label = "content of a region of high density"
    plain.set(xlim=(0, 1), ylim=(0, 1), xlabel=label, ylabel="share of data inside")
    apart.set(xlabel=label, ylabel="share of data inside, minus content")
    plain.legend(fontsize=7)
    apart.legend(fontsize=7)
    return figure


def shares(
    values: Any, names: Sequence[str] | None = None, error: Any = None
) -> Figure:
    """Draws what each unit adds to -log p(x): an image of pixels, or bars.

    Args:
      values: `[D]`, `[T, C]`, `[H, W]` or `[H, W, C]`; nats or bits of each unit.
      names: of the units of a vector.
      error: standard errors, for bars.

    Raises:
      ValueError: if there are no such values, or not as many names.

    Examples:
      >>> figure = shares([1.0, 0.2, 0.5], ["a", "b", "c"])
    """
    values = np.asarray(values)
    if not 1 <= values.ndim <= 3 or values.size == 0:
        raise ValueError(
            f"shares draws one number for each unit of an event, got {values.shape}. "
            "Give the mean over events: diagnostics.decompose(...).mean."
        )
    if names is not None and (values.ndim > 1 or len(names) != len(values)):
        raise ValueError(
            f"shares got {len(names)} names for values of shape {values.shape}. Name "
            "each unit of a vector, or none."
        )
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axis = figure.subplots()
    if values.ndim == 3 or (values.ndim == 2 and values.shape[1] > 4):
        image = axis.imshow(values.sum(axis=2) if values.ndim == 3 else values)
        figure.colorbar(image, label="nats of each pixel")
        axis.axis("off")
        return figure
    flat = values.reshape(len(values), -1).sum(axis=1)
    if values.ndim == 2 or len(flat) > 50:
        axis.plot(flat, lw=0.8)
    else:
        axis.bar(range(len(flat)), flat, yerr=error)
    if names is not None:
        axis.set_xticks(range(len(flat)), names, rotation=90, fontsize=7)
    axis.set(xlabel="unit", ylabel="nats")
    return figure


def _styles(drawn, worst):
    """Of each code's lines; the worst comes last, above the others."""
    others = sorted(drawn - {worst})
    styles = {i: {"c": "0.6", "lw": 0.5} for i in others}
    if others:
        styles[others[0]]["label"] = "other codes"  # once for all
    loud = {"c": "C3", "lw": 1.2, "label": f"code {worst}, the furthest off"}
    return styles | {worst: loud}


def _band(axis, band):
    points = np.asarray(band.points)
    lower, upper = band.lower - points, band.upper - points
    axis.fill_between(points, lower, upper, alpha=0.3, lw=0, label="band")
    axis.axhline(0, c="k", lw=0.8, ls="--")
    axis.set_xlim(0, 1)


def _normal(share):
    return special.ndtri(np.clip(share, 1e-7, 1 - 1e-7))
