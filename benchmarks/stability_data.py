"""The data that `benchmarks.stability` trains on, raw, as people have them."""

from typing import NamedTuple

import numpy as np

TFDS = ("mnist", "cifar10")
_FEW = 640  # images to train on: it is the first steps that matter


class Data(NamedTuple):
    """Two parts of a data set, in its own unit.

    Attributes:
      train: `[N, *event_shape]`, integers if `num_values` is given.
      valid: the same, held out.
      num_values: number of integer values, None for real numbers.
      gaussian: mean negative log-likelihood of train under the Gaussian of train with
        full covariance, nats an event; integers with uniform noise in [0, 1).
    """

    train: np.ndarray
    valid: np.ndarray
    num_values: int | None
    gaussian: float


def load(name: str, data_dir: str = "") -> Data:
    """Returns a data set by its name.

    Args:
      name: of scikit-learn's, such as "wine"; "digits" (integers), "digits_float",
        "moons", "tones", "ar_process", or one of `TFDS`.
      data_dir: of tensorflow-datasets.
    """
    if name in TFDS:
        train, valid, num_values = _images(name, data_dir)
    elif name in ("tones", "ar_process"):
        train, valid, num_values = _sequences(name)
    else:
        x, num_values = _table(name)
        x = x[np.random.default_rng(0).permutation(len(x))]
        cut = _FEW if name.startswith("digits") else len(x) * 4 // 5
        train, valid = x[:cut], x[cut:]
    return Data(train, valid, num_values, _gaussian_nll(train, num_values))


def _table(name):
    import sklearn.datasets as sets

    if name == "moons":
        return sets.make_moons(1250, noise=0.1, random_state=0)[0].astype("f4"), None
    if name.startswith("digits"):
        images = sets.load_digits().images[..., None]
        if name == "digits":
            return images.astype(np.int32), 17
        return images.astype(np.float32), None
    if name == "diabetes":
        return sets.load_diabetes(scaled=False).data.astype(np.float32), None
    loader = {"cancer": sets.load_breast_cancer, "iris": sets.load_iris}
    return loader.get(name, sets.load_wine)().data.astype(np.float32), None


def _sequences(name):
    from tfp_flows.distributions import mu_law
    from train.pipelines import processes, tones

    if name == "ar_process":
        x = processes.GaussianAR((1.2, -0.6), 0.5).draw(600, 100, seed=0)
        return x[:500], x[500:], None
    sound, _ = tones.draw(600, 128, 0.01, [0])
    codes = np.asarray(mu_law.encode(sound[..., None], 256), np.int32)
    return codes[:500], codes[500:], 256


def _images(name, data_dir):
    import tensorflow_datasets as tfds

    images = tfds.load(name, split="train", data_dir=data_dir).take(_FEW + 256)
    x = np.stack([item["image"] for item in tfds.as_numpy(images)]).astype(np.int32)
    return x[:_FEW], x[_FEW:], 256


def _gaussian_nll(x, num_values):
    rows = x.reshape(len(x), -1).astype(np.float64)
    if num_values:
        rows = rows + np.random.default_rng(0).uniform(size=rows.shape)
    covariance = np.cov(rows.T, bias=True)
    sign, log_det = np.linalg.slogdet(covariance)
    size = rows.shape[1]
    if sign <= 0 or np.linalg.matrix_rank(covariance) < size:
        return float("nan")  # constant columns, or fewer events than dimensions
    return float(0.5 * (log_det + size * (1.0 + np.log(2 * np.pi))))
