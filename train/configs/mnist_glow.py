"""Glow on MNIST through tensorflow-datasets.

python -m train --config=train/configs/mnist_glow.py --config.data.data_dir=DIR
with mnist prepared in DIR. 28 x 28 allows two levels. Expect: not yet measured.
"""

import ml_collections

from train.configs import mnist_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of Glow on MNIST."""
    config = mnist_real_nvp.get_config()
    config.flow.name = "glow"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_levels = 2
    config.flow.options.num_steps = 6
    config.flow.options.filters = 64
    config.flow.options.coupling = "mixture"
    config.flow.options.coupling_options = {"num_components": 4}
    config.flow.options.histogram = True
    config.flow.options.alpha = 0.01
    config.flow.options.memory = "activations"  # 6 steps: little to save
    config.data.batch_size = 32
    config.adapt_examples = 2048
    config.optimizer.learning_rate = 1.5e-3
    config.optimizer.weight_decay = 0.0
    config.epochs = 17
    return config
