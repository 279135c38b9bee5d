"""Glow on CIFAR-10 through tensorflow-datasets.

python -m train --config=train/configs/cifar10_glow.py --config.data.data_dir=DIR
with cifar10 prepared in DIR. Expect, of 10,000 training and 1,000 test images: 3.95
bits/dim (standard error 0.02) after 24 epochs on 9,500 images, 7 minutes on 2 CPU
cores, beside 5.10 of the Gaussian; fitting the baselines takes as long again. With all
50,000 an epoch takes five times as long.
"""

import ml_collections

from train.configs import mnist_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of Glow on CIFAR-10, for some minutes of a CPU."""
    config = mnist_real_nvp.get_config()
    config.data.name = "cifar10"
    config.data.num_valid = 500
    config.data.batch_size = 32
    config.flow.name = "glow"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_levels = 3
    config.flow.options.num_steps = 4
    config.flow.options.filters = 64
    config.flow.options.memory = "activations"  # 4 steps: little to save
    config.adapt_examples = 512
    config.optimizer.learning_rate = 3e-3
    config.optimizer.ema = 0.995
    config.epochs = 24
    # 3,072 dimensions: a full covariance has more numbers than there are images, so
    # the floor decides.
    config.baselines.mixture_components = (2,)
    config.baselines.covariance_floors = (0.03,)
    return config
