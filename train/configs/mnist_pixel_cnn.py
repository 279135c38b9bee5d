"""PixelCNN on binarised MNIST through tensorflow-datasets.

python -m train --config=train/configs/mnist_pixel_cnn.py --config.data.data_dir=DIR
with mnist prepared in DIR. Stochastic binarizing: --config.data.binarize=stochastic.
All 256 grey levels: --config.data.binarize= --config.epochs=7. Expect on the 10,000
test images, exact: thresholded 57.6 nats (standard error 0.2) after 10 epochs in 48
minutes on two CPU cores; stochastic 81.8 nats (0.2) in 87 minutes, 256 levels 1.065
bits/dim (0.003) in 78 minutes, each on one core that did other work as well, and all
with a warm-up of 500 steps and gradients clipped at 50. One epoch of 15,000 digits ends
at 117.2 nats with both, at 111.7 without.
"""

import ml_collections

from train.configs import digits_pixel_cnn


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of PixelCNN on MNIST."""
    config = digits_pixel_cnn.get_config()
    config.diagnosed = 200
    config.data.name = "mnist"
    config.data.binarize = "threshold"
    config.data.num_valid = 5000
    # Many small steps, and kernels of 5: for their time both go further than batches
    # of 64, than kernels of 3, and than fewer but wider blocks.
    config.data.batch_size = 16
    config.flow.options.num_blocks = 8
    config.flow.options.filters = 16
    config.flow.options.kernel_size = 5
    config.flow.options.first_kernel_size = 7
    config.flow.options.dropout = 0.0
    config.optimizer.weight_decay = 0.0
    config.optimizer.ema = 0.999
    config.epochs = 10
    config.baselines.unigram = True  # a Gaussian of 784 dimensions takes minutes
    return config
