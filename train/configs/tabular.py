"""RealNVP on the rows of a file.

python -m train --config=train/configs/tabular.py --config.data.path=rows.csv
or `--config.data.name=npy --config.data.path=rows.npy`. Expect: depends on the file.
"""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of tables."""
    config = digits_real_nvp.get_config()
    config.data.name = "csv"
    config.data.num_test = 250
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_steps = 8
    config.flow.options.hidden_units = (128, 128)
    config.flow.options.dropout = 0.1
    config.optimizer.learning_rate = 2e-3
    config.epochs = 100
    # The data are standardised first, so these are shares of their variance.
    config.baselines.covariance_floors = (1e-6, 1e-3, 1e-2)
    return config
