"""A model of a table with a header: columns of any kinds, missing values.

python -m train --config=train/configs/table.py --config.data.path=rows.csv
or a `.parquet` file; `--config.data.kinds="sex: category, hour: periodic 24"` where you
know better than what is printed. Expect: depends on the file; wine in docs/tables.md.
"""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of tables of mixed columns."""
    config = digits_real_nvp.get_config()
    config.data.name = "table"
    config.data.batch_size = 32
    config.data.num_valid = 100
    config.data.num_test = 100
    config.flow.name = "tabular"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.hidden_units = (128, 128)
    config.flow.options.dropout = 0.3
    config.optimizer.learning_rate = 1e-3
    config.epochs = 200
    config.patience = 30
    # The data are standardised first, so these are shares of their variance.
    config.baselines.mixture_components = (2, 3, 5)
    config.baselines.covariance_floors = (1e-3, 1e-2, 1e-1)
    # Other recipes take every column for real numbers, and no missing ones: epochs of
    # 100 for a table without any.
    config.rivals = ml_collections.ConfigDict()
    config.rivals.real_nvp = digits_real_nvp.rival(
        "real_nvp", 0, num_steps=4, hidden_units=(64,), dropout=0.3
    )
    config.export = False  # what takes missing values is not served
    return config
