"""How far linearised shares are from true ones, on two moons.

    python -m benchmarks.shares

Trains couplings and compares the share that `diagnostics.decompose` gives to the first
coordinate with its own -log p, by quadrature over the second one.
"""

import argparse

import keras
import numpy as np
from sklearn import datasets

from tfp_flows import FlowModel, diagnostics, flows

_EVENTS = 300


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(prog="python -m benchmarks.shares").parse_args()
    train, held_out = (
        datasets.make_moons(size, noise=0.1, random_state=seed)[0].astype(np.float32)
        for seed, size in enumerate((4000, _EVENTS))
    )
    print("| flow | -log p of x0, nats | linearised | root mean square apart |")
    print("|---|---:|---:|---:|")
    for name in ("real_nvp", "neural_spline"):
        keras.utils.set_random_seed(0)
        flow = flows.build(name, event_shape=(2,))
        model = FlowModel(flow)
        model.compile(keras.optimizers.Adam(2e-3))
        model.fit(train, epochs=60, batch_size=128, verbose=0)
        true = np.array([_of_first(flow, x) for x in held_out])
        share = diagnostics.decompose(flow, held_out).nats[:, 0]
        apart = np.sqrt(np.mean((true - share) ** 2))
        print(f"| {name} | {true.mean():.3f} | {share.mean():.3f} | {apart:.2f} |")


def _of_first(flow, x):
    """-log p of the first coordinate alone."""
    second = np.linspace(-4.0, 5.0, 4001, dtype=np.float32)
    points = np.stack([np.full_like(second, x[0]), second], axis=-1)
    density = np.exp(flow.log_prob(points).numpy().astype(np.float64))
    return -np.log(np.trapezoid(density, second))


if __name__ == "__main__":
    main()
