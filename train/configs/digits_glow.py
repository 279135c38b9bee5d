"""Glow on scikit-learn's handwritten digits.

python -m train --config=train/configs/digits_glow.py
"""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of Glow on the digits."""
    config = digits_real_nvp.get_config()
    config.flow.name = "glow"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_levels = 2
    config.flow.options.num_steps = 4
    config.flow.options.filters = 32
    config.flow.options.dropout = 0.2
    config.flow.options.memory = "activations"  # 8x8 pixels: little to save
    config.flow.options.coupling = "affine"
    config.flow.options.histogram = False
    return config
