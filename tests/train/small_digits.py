"""Digits: a conditional Glow and a PixelCNN that train in seconds."""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns two models whose training has all kinds of noise."""
    config = digits_real_nvp.get_config()
    config.data.context = True
    config.flow.name = "glow"
    config.flow.options = ml_collections.ConfigDict(
        {"num_levels": 1, "num_steps": 2, "filters": 8, "dropout": 0.2}
    )
    config.optimizer.ema = 0.5
    config.optimizer.clipnorm = 50.0
    # Small steps: shares of a batch sum up in another order, and steps enlarge that.
    config.optimizer.learning_rate = 2e-3
    config.rivals = ml_collections.ConfigDict()
    config.rivals.pixel_cnn = digits_real_nvp.rival(
        "pixel_cnn", 2, num_blocks=1, filters=8, dropout=0.2
    )
    config.epochs = 2
    config.num_draws, config.diagnosed = 1, 0
    config.baselines.mixture_components = (2,)
    return config
