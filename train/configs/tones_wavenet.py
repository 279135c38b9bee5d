"""WaveNet on chords of tones in mu-law codes, 8,000 steps a second.

python -m train --config=train/configs/tones_wavenet.py
Expect: 3.67 bits a step (standard error 0.01), 2.547 nats (0.007), on 400 test
sequences, beside 7.48 bits of a unigram and 5.03 of a WaveNet that sees 2 ms; the noise
on the tones alone has 2.256 nats. 3,000 steps took 55 minutes on 2 CPU cores that were
busy with other work, about 13 minutes of CPU time by proportion of 100 steps.
Leaves samples.wav, three samples of 2 s, and their spectrogram beside that of data.
"""

import ml_collections

from train.configs import digits_real_nvp
from train.configs.digits_real_nvp import rival


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of WaveNet on the tones."""
    config = digits_real_nvp.get_config()
    config.data.name = "tones"
    config.data.num_steps = 2048  # 0.26 s, about one chord; WaveNet sees 511 steps back
    config.data.scale = 0.003  # 30 dB below a note that is struck
    config.data.num_train = 2000
    config.data.num_valid = 100
    config.data.num_test = 400
    config.data.batch_size = 4
    config.flow.name = "wavenet"
    config.flow.options = ml_collections.ConfigDict()
    config.flow.options.num_layers = 16
    config.flow.options.dilation_cycle = 8
    config.flow.options.filters = 32
    config.flow.options.skip_filters = 64
    config.optimizer.learning_rate = 6e-3
    config.optimizer.weight_decay = 0.0
    config.epochs = 6
    config.baselines.unigram = True
    config.rivals.nice.epochs = 0
    # Sees 16 steps back, 2 ms: half a period of the lowest note.
    config.rivals.short_wavenet = rival(
        "wavenet", 1, num_layers=4, dilation_cycle=4, filters=32, skip_filters=64
    )
    config.diagnosed = 50
    config.eval_batch_size = 16  # 16 x 2,048 x 256 logits are 34 MB
    return config
