"""WaveNet on an autoregressive process whose entropy rate is known.

python -m train --config=train/configs/ar_process.py
Expect: 0.731 nats a step (standard error 0.002), entropy rate 0.726; 0.0014 above the
process's own density of the same sequences. Half a minute on 2 CPU cores.
"""

import ml_collections

from train.configs import digits_real_nvp


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of WaveNet on the process."""
    config = digits_real_nvp.get_config()
    config.data.name = "ar_process"
    config.data.num_train = 2000
    config.data.num_valid = 250
    config.data.num_test = 1000
    config.data.batch_size = 64
    config.flow.name = "wavenet"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_layers = 4
    config.flow.options.filters = 16
    config.flow.options.dilation_cycle = 2
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.0
    config.epochs = 20
    config.jit_compile = "true"
    config.rivals.nice.epochs = 0
    # 200 dimensions: one Gaussian is the truth, more only overfit.
    config.baselines.mixture_components = (2,)
    config.baselines.covariance_floors = (1e-3,)
    return config
