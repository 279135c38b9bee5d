"""RealNVP on MNIST through tensorflow-datasets.

python -m train --config=train/configs/mnist_real_nvp.py --config.data.data_dir=DIR
with mnist prepared in DIR. 28 x 28 allows two levels. Expect: not yet measured.
"""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of MNIST."""
    config = digits_real_nvp.get_config()
    config.data.name = "mnist"
    config.data.num_valid = 5000
    config.flow.options.num_steps = 6
    config.flow.options.filters = 64
    config.flow.options.num_blocks = 2
    config.flow.options.dropout = 0.0
    config.optimizer.learning_rate = 2e-3
    config.epochs = 20
    config.rivals.nice.epochs = 0
    # 784 dimensions: a full covariance has 308,000 numbers, so few components.
    config.baselines.mixture_components = (5, 10)
    config.baselines.covariance_floors = (0.01, 0.1)
    config.diagnosed = 200
    config.num_draws = 2  # 10,000 test images average the noise as well
    return config
