"""RealNVP on scikit-learn's handwritten digits; what the other configs begin with.

python -m train --config=train/configs/digits_real_nvp.py
Expect: 1.99 bits/dim (standard error 0.02) on the 250 test digits after 220 epochs,
beside 2.58 of the best mixture; 4 minutes in all on 2 CPU cores.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration of RealNVP on the digits."""
    config = ml_collections.ConfigDict()
    config.seed = 0
    config.data = data()
    config.flow = ml_collections.ConfigDict()
    config.flow.name = "real_nvp"  # a recipe of tfp_flows.flows
    config.flow.options = ml_collections.ConfigDict()  # arguments of the recipe
    config.flow.options.num_steps = 4  # couplings a level
    config.flow.options.filters = 32
    config.flow.options.num_blocks = 1
    config.flow.options.dropout = 0.2

    config.optimizer = optimizer(learning_rate=5e-3, weight_decay=1e-2)
    config.epochs = 220  # at most
    config.patience = 40  # epochs without a better validation loss
    config.adapt_examples = 1024  # for act norms, before the first step
    config.jit_compile = "auto"  # "auto", "true" or "false": XLA
    config.policy = "float32"  # of networks; or "mixed_bfloat16", "mixed_float16"
    config.strategy = strategy()
    config.checkpoint = checkpoint()

    config.baselines = baselines()
    config.rivals = ml_collections.ConfigDict()  # other flows, trained to compare
    config.rivals.nice = rival(
        "nice", 120, num_steps=8, hidden_units=(128, 128), dropout=0.1
    )
    config.num_draws = 16  # of dequantization noise an event in the report
    config.eval_batch_size = 500  # events at a time in the report
    config.diagnosed = 500  # test events in report.html; 0: no diagnosis
    config.export = True
    return config


def data() -> ml_collections.ConfigDict:
    """Returns where events come from and how they are divided."""
    config = ml_collections.ConfigDict()
    config.name = "digits"  # or TFDS, two_moons, csv, npy, table, ar_process, tones
    config.data_dir = ""  # of TFDS; the digits go to <workdir>/data if empty
    config.path = ""  # of a .csv or .npy file; of a table .csv or .parquet
    config.kinds = ""  # table: "sex: category, hour: periodic 24"; others are inferred
    config.condition_on = ()  # table: columns that the others are given
    # "memory", or "none" for files larger than that: rows are read when they are wanted
    config.cache = "memory"
    config.num_values = 0  # grey levels (32: 5 bits) or codes; 0 for all
    config.binarize = ""  # images to 0 and 1: "threshold" or "stochastic"
    config.flip = False  # mirror half of the training images, left to right
    config.batch_size = 128
    config.context = False  # condition on the class label
    config.num_train = 4000  # events; of generated data
    config.num_valid = 250  # events; where the source has no validation split
    config.num_test = 0  # events; 0 for the whole test split
    config.seed = 0  # of generated data, order of files, stochastic binarizing
    config.num_steps = 200  # of a sequence of ar_process or tones
    config.coefficients = (1.2, -0.6)  # ar_process: of x[t-1], x[t-2]
    config.scale = 0.5  # of the noise of ar_process or tones
    return config


def strategy() -> ml_collections.ConfigDict:
    """Returns what the job runs on."""
    config = ml_collections.ConfigDict()
    # "auto", "one_device", "mirrored" (all GPUs of a machine), "multi_worker" (those of
    # TF_CONFIG) or "tpu".
    config.name = "auto"
    config.tpu = ""  # name of a TPU, or "local"
    config.logical_cpus = 1  # parts that one CPU is cut into, for a trial
    config.timeout = 600.0  # seconds that workers wait for each other
    return config


def checkpoint() -> ml_collections.ConfigDict:
    """Returns how a run is kept, to be continued by the same command."""
    config = ml_collections.ConfigDict()
    config.minutes = 10.0  # between checkpoints; there is one at each epoch's end, too
    config.grace = 30.0  # seconds to end the running step and to save it, if stopped
    # Continue a run with other settings than it was begun with; the report notes it.
    config.allow_changes = False
    return config


def baselines() -> ml_collections.ConfigDict:
    """Returns what the flow is compared with."""
    config = ml_collections.ConfigDict()
    config.unigram = False  # the share of each integer, in place of Gaussians
    # Both chosen on valid; the floor is a share of each pixel's variance.
    config.mixture_components = (5, 8, 10)
    config.covariance_floors = (0.003, 0.01)
    config.fit_draws = 4  # of dequantization noise an event, to fit to
    config.max_events = 10000  # training events times draws, to fit to
    return config


def rival(name: str, epochs: int, **options) -> ml_collections.ConfigDict:
    """Returns a flow to compare with; it is trained as the flow itself is.

    Args:
      name: of the recipe.
      epochs: at most; 0 leaves it out.
      **options: of the recipe.
    """
    config = ml_collections.ConfigDict()
    config.name = name
    config.epochs = epochs
    config.options = ml_collections.ConfigDict(options)
    return config


def optimizer(learning_rate: float, weight_decay: float) -> ml_collections.ConfigDict:
    """Returns AdamW with a cosine decay over all epochs."""
    config = ml_collections.ConfigDict()
    config.learning_rate = learning_rate  # at the start, or after the warm-up
    config.warmup = 0  # steps of a linear rise from 0
    config.weight_decay = weight_decay  # decoupled, a step, relative to the rate
    config.ema = 0.0  # momentum of averaged weights, such as 0.995; 0 for none
    config.clipnorm = 0.0  # of each gradient, in nats; 0 for none
    return config
