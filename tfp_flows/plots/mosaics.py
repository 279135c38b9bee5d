"""Images in rows and columns: samples, ways between them, completions, extremes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

_INCHES = 0.7  # of an image
_GAP = 0.08  # between images, as a share of one


def images(
    x: Any, columns: int = 10, titles: Sequence[str] = (), heading: str = ""
) -> Figure:
    """Draws images in rows and columns; grey ones dark on white.

    Args:
      x: `[N, H, W]`, or `[N, H, W, C]` with one channel or three; from 0 to their
        common maximum.
      columns: of the grid.
      titles: of the first images, optional.
      heading: of the whole picture, optional.

    Raises:
      ValueError: if they are no images.

    Examples:
      >>> images(np.random.default_rng(0).random((10, 8, 8, 1)), 5).axes[0].get_title()
      ''
    """
    x = _as_images(x)
    if columns < 1:
        raise ValueError(f"A grid needs columns >= 1, got {columns}.")
    top = 0.3 if titles else _GAP  # room for titles, above each image
    size = np.ceil(np.multiply(x.shape[1:3], (top, _GAP))).astype(int)
    cells = np.pad(x, [(0, 0), (size[0], 0), (size[1], 0), (0, 0)], constant_values=1.0)
    rows = -(-len(x) // columns)
    blank = np.ones((rows * columns - len(x), *cells.shape[1:]))
    height, width, channels = cells.shape[1:]
    grid = np.concatenate([cells, blank]).reshape(
        rows, columns, height, width, channels
    )
    mosaic = grid.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    inches = _INCHES * np.divide(cells.shape[1:3], max(x.shape[1:3]))
    figure = Figure(
        figsize=(columns * inches[1], rows * inches[0] + 0.25 * bool(heading)),
        layout="constrained",
    )
    axis = figure.subplots()
    axis.imshow(mosaic, vmin=0.0, vmax=1.0, cmap="gray", interpolation="nearest")
    axis.axis("off")
    for i, title in enumerate(titles[: len(x)]):
        row, column = divmod(i, columns)
        place = (column + 0.5) * width, row * height + 0.8 * size[0] - 0.5
        axis.text(*place, title, fontsize=6, ha="center", va="bottom")
    axis.set_title(heading, fontsize=8)
    return figure


def samples(blocks: Mapping[str, Any], rows: int = 8, columns: int = 6) -> Figure:
    """Draws blocks of images beside each other, such as samples and data.

    Args:
      blocks: title -> images `[N, H, W, C]`; a block repeats what it has if N is below
        rows times columns.
      rows: of each block.
      columns: of each block.

    Raises:
      ValueError: if there is no block, or they are no images of one shape.

    Examples:
      >>> x = np.random.default_rng(0).random((48, 4, 4, 1))
      >>> figure = samples({"samples": x, "data": x})
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['samples', 'data']
    """
    if not blocks:
        raise ValueError("samples got no block of images. Give at least one.")
    arrays = [np.asarray(x) for x in blocks.values()]
    if len({x.shape[1:] for x in arrays}) > 1 or min(map(len, arrays)) == 0:
        shapes = {title: np.shape(x) for title, x in blocks.items()}
        raise ValueError(f"samples needs images of one shape, got {shapes}.")
    most = max(x.max() for x in arrays)
    pieces: list = []
    for x in arrays:
        block = np.resize(x, (rows * columns, *x.shape[1:]))
        blank = np.full((rows, 1, *x.shape[1:]), _white(x, most))
        pieces += [block.reshape(rows, columns, *x.shape[1:]), blank]
    grid = np.concatenate(pieces[:-1], axis=1)
    figure = images(grid.reshape(-1, *grid.shape[2:]), grid.shape[1])
    axis = figure.axes[0]
    left, right = axis.get_xlim()
    for i, title in enumerate(blocks):
        middle = ((columns + 1) * i + columns / 2) / grid.shape[1]
        axis.text(left + middle * (right - left), 0, title, ha="center", va="bottom")
    return figure


def interpolations(way: Any) -> Figure:
    """Draws ways between images, one a row, as `tasks.interpolate` gives them.

    Args:
      way: `[steps, N, H, W, C]`.

    Raises:
      ValueError: if it is no way of images.

    Examples:
      >>> from tfp_flows import flows, tasks
      >>> flow = flows.glow((4, 4, 1), 1, 1, filters=4)
      >>> x = flow.sample(6, seed=1)
      >>> figure = interpolations(tasks.interpolate(flow, x[:3], x[3:], 5))
    """
    way = np.asarray(way)
    if way.ndim < 4:
        raise ValueError(
            f"interpolations wants images [steps, N, H, W, C], got shape {way.shape}. "
            "Take what tasks.interpolate returns."
        )
    rows = np.swapaxes(way, 0, 1)
    heading = "the ends (left and right) and the way between their codes"
    return images(rows.reshape(-1, *way.shape[2:]), len(way), heading=heading)


def completions(x: Any, known: Any, draws: Any) -> Figure:
    """Draws, one a row: what is known of an image, draws of the rest, the image.

    Args:
      x: images `[N, H, W, C]`.
      known: bool, broadcasts to x; what is not known is drawn as 0.
      draws: completed images `[n, N, H, W, C]`, as from `distributions.complete`.

    Raises:
      ValueError: if shapes do not fit.

    Examples:
      >>> x = np.ones((3, 4, 4, 1))
      >>> figure = completions(x, np.arange(4)[:, None, None] < 2, np.stack([x, x]))
    """
    x, draws = np.asarray(x), np.asarray(draws)
    if draws.shape[1:] != x.shape:
        raise ValueError(
            f"completions wants draws [n, *{x.shape}], got shape {draws.shape}. Take "
            "what distributions.complete returns for the same images."
        )
    columns = [np.where(known, x, 0), *draws, x]
    heading = "what is known (left), draws of the rest, the image (right)"
    grid = np.stack(columns, axis=1)
    return images(grid.reshape(-1, *x.shape[1:]), len(columns), heading=heading)


def extremes(x: Any, bits: Any, count: int = 16) -> Figure:
    """Draws the most likely images in the upper rows, the least likely below.

    Args:
      x: images `[N, H, W, C]`.
      bits: bits per dimension of each, `[N]`, lower is likelier.
      count: images of each kind; half of all if there are fewer.

    Raises:
      ValueError: if there is not one number for each image, or one image alone.

    Examples:
      >>> x = np.random.default_rng(0).random((40, 4, 4, 1))
      >>> figure = extremes(x, np.arange(40.0))
    """
    x, bits = np.asarray(x), np.asarray(bits)
    if bits.shape != (len(x),) or len(x) < 2:
        raise ValueError(
            f"extremes needs a number for each of two images or more, got {bits.shape} "
            f"for {len(x)} images."
        )
    count = min(count, len(bits) // 2)
    order = np.argsort(bits)
    chosen = np.concatenate([order[:count], order[-count:]])
    titles = [f"{bits[i]:.2f}" for i in chosen]
    heading = "most likely (above) and least likely, bits/dim"
    return images(x[chosen], min(8, count), titles, heading)


def _as_images(x):
    """Between 0 and 1, as they are printed: 1 is white; `[N, H, W, 1 or 3]`."""
    x = np.asarray(x, np.float32)
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[-1] not in (1, 3) or len(x) == 0:
        raise ValueError(
            f"Images are [N, H, W], or [N, H, W, C] with 1 or 3 channels, got shape "
            f"{x.shape}. Give at least one; choose channels of others."
        )
    x = np.clip(x / max(1.0, float(x.max())), 0.0, 1.0)
    return 1.0 - x if x.shape[-1] == 1 else x


def _white(x, most):
    """The value that `images` shows white: grey images are dark on white paper."""
    return most if x.ndim == 4 and x.shape[-1] == 3 else 0
