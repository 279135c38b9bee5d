"""A larger Glow on CIFAR-10 through tensorflow-datasets, for some minutes of a GPU.

python -m train --config=train/configs/cifar10_glow_gpu.py --config.data.data_dir=DIR
with cifar10 prepared in DIR. Expect, of 10,000 training and 1,000 test images: 3.65
bits/dim (standard error 0.02) after 79 epochs on 9,500 images, 8 minutes on one H200.
That run took this model, optimizer and data, but XLA ran the compiled step without
TensorFlow around it; by this command: not yet measured.
"""

import ml_collections

from train.configs import cifar10_glow


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of Glow on CIFAR-10, for some minutes of a GPU."""
    config = cifar10_glow.get_config()
    config.data.batch_size = 64
    config.data.flip = True
    config.flow.options.num_steps = 16
    config.flow.options.filters = 256
    config.flow.options.dropout = 0.1
    config.flow.options.memory = "constant"
    config.optimizer.weight_decay = 0.0
    config.optimizer.warmup = 300
    config.optimizer.ema = 0.998
    config.jit_compile = "true"
    config.epochs = 79
    return config
