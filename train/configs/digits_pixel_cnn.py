"""PixelCNN on scikit-learn's handwritten digits: exact, no bound.

python -m train --config=train/configs/digits_pixel_cnn.py
Expect: 1.81 bits/dim (standard error 0.02), 80 nats, on the 250 test digits after 100
epochs in a minute on 2 CPU cores.
"""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of PixelCNN on the digits."""
    config = digits_real_nvp.get_config()
    config.flow.name = "pixel_cnn"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_blocks = 3
    config.flow.options.filters = 32
    config.flow.options.first_kernel_size = 5
    config.flow.options.dropout = 0.3
    config.optimizer.learning_rate = 2e-3
    config.epochs = 100
    config.rivals.nice.epochs = 0
    return config
