"""What completions by particles are worth: `python -m benchmarks.particles`.

Halves of scikit-learn's digits (8 x 8, 17 values) by an any-order model, by PixelCNNs
whose order suits the mask, and by particles of one that goes row by row. Prints energy
scores of the draws in grey levels, mean |draw - truth| - mean |draw - other draw| / 2
over the unknown pixels, with standard errors; effective sample sizes; seconds.
"""

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np
from sklearn import datasets

from tfp_flows import FlowModel, flows
from tfp_flows.distributions import complete, complete_by_particles

_SHAPE, _DRAWS, _CHUNK = (8, 8, 1), 20, 25
_SUITED = {"left": "columns", "lower": "reversed"}


def main() -> None:
    """Trains, completes and prints."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.particles", description=__doc__
    )
    parser.add_argument(
        "--epochs", type=int, default=60, help="half of it for PixelCNNs"
    )
    parser.add_argument("--digits", type=int, default=50, help="to complete")
    parser.add_argument("--particles", type=int, nargs="+", default=[100, 1000])
    arguments = parser.parse_args()
    images = datasets.load_digits().images[..., None].astype("int32")
    images = np.random.default_rng(0).permutation(images)
    train, test = images[:1500], images[1500 : 1500 + arguments.digits]
    keras.utils.set_random_seed(0)
    any_order = flows.any_order(_SHAPE, num_values=17, filters=32, num_blocks=5)
    _fit(any_order, train, arguments.epochs)
    by = {"rows": None, "columns": None, "reversed": None}
    for order in by:
        keras.utils.set_random_seed(0)
        by[order] = flows.pixel_cnn(_SHAPE, 4, 24, num_values=17, order=order)
        _fit(by[order], train, arguments.epochs // 2)
    for name, mask in _masks().items():
        exact = {"any order": any_order}
        if name in _SUITED:
            exact[f"PixelCNN by {_SUITED[name]}"] = by[_SUITED[name]]
        for kind, model in exact.items():
            found = _timed(
                lambda x, m=model, known=mask: complete(m, x, known, _DRAWS, seed=1),
                test,
            )
            print(f"{name}, {kind}: {_energy(*found, test, mask)}", flush=True)
        for count in arguments.particles:
            print(f"{name}, {_particles(by['rows'], test, mask, count)}", flush=True)


def _masks():
    """Halves that do not come first row by row."""
    row, column = (np.broadcast_to(i, (8, 8))[..., None] for i in np.ogrid[:8, :8])
    return {
        "left": column < 4,
        "right": column >= 4,
        "lower": row >= 4,
        "middle": (row >= 2) & (row < 6),
        "random": np.random.default_rng(1).random(_SHAPE) < 0.5,
    }


def _fit(flow, images, epochs):
    steps = epochs * -(-len(images) // 64)
    model = FlowModel(flow)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps))
    )
    model.fit(images, batch_size=64, epochs=epochs, verbose=0)


def _timed(call: Callable, images):
    """Returns draws `[n, N, 8, 8, 1]` and the seconds that they took."""
    start = time.perf_counter()
    drawn = [
        call(x).numpy() for x in np.split(images, range(_CHUNK, len(images), _CHUNK))
    ]
    return np.concatenate(drawn, axis=1), time.perf_counter() - start


def _particles(model, images, mask, count):
    """Completes by particles and says how that went."""
    parts = []

    def call(x):
        parts.append(
            complete_by_particles(model, x, mask, _DRAWS, seed=1, num_particles=count)
        )
        return parts[-1].x

    scores = _energy(*_timed(call, images), images, mask)
    size = np.concatenate([part.effective_sample_size for part in parts])
    known = np.concatenate([part.log_prob_of_known for part in parts])
    nats = known - model.log_prob(images).numpy()
    bits = nats.mean() / np.log(2) / np.sum(~np.broadcast_to(mask, _SHAPE))
    return (
        f"{count} particles: {scores}, {np.median(size):.1f} effective (smallest "
        f"{size.min():.1f}, below 10 {(size < 10).mean():.0%}), {bits:.3f} bits a pixel"
    )


def _energy(drawn, seconds, images, mask):
    hidden = ~np.broadcast_to(mask, _SHAPE)
    drawn, truth = drawn[:, :, hidden].astype(float), images[:, hidden]
    off = np.linalg.norm(drawn - truth, axis=-1).mean(axis=0)
    apart = np.linalg.norm(drawn[:, None] - drawn, axis=-1).sum(axis=(0, 1))
    score = off - 0.5 * apart / (_DRAWS * (_DRAWS - 1))
    error = score.std() / np.sqrt(len(score))
    return f"{score.mean():.2f} ({error:.2f}) in {seconds:.1f} s"


if __name__ == "__main__":
    main()
