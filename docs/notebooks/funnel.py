# %% [markdown]
# # A density without data: surrogate and NeuTra
#
# Neal's funnel: v has standard deviation 3, and nine numbers have the standard deviation
# exp(v / 2). Markov chains do not get into its neck. A flow trained on the density alone
# is a first answer, and straightens the space for chains, whose answer is the right one.
# Takes about a minute on two CPU cores.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import flows, tasks

tfd = tfp.distributions
STEPS, DRAWS = 3000, 4000
keras.utils.set_random_seed(0)


def funnel(x):
    """Unnormalised log-density, `[N, 10]` -> `[N]`."""
    v, rest = x[..., :1], x[..., 1:]
    given_v = tfd.Normal(0.0, tf.exp(v / 2)).log_prob(rest)
    return tfd.Normal(0.0, 3.0).log_prob(v[..., 0]) + tf.reduce_sum(given_v, axis=-1)


# %% [markdown]
# `surrogate` minimises the reverse Kullback-Leibler divergence. Importance weights judge
# the result, and Pareto-k judges the weights: above 0.7 their mean is not to be trusted.

# %%
flow = flows.real_nvp((10,), num_steps=4, hidden_units=(32, 32))
near = tasks.surrogate(funnel, flow, num_steps=STEPS, learning_rate=3e-3)
print(f"{near.effective_sample_size:.0f} effective draws, Pareto-k {near.pareto_k:.2f}")
print(near.problem())

# %% [markdown]
# Chains by the No-U-Turn sampler, with and without the flow between. `gaussian` that was
# not trained is a flow that does nothing.

# %%
chains = {
    "without a flow": tasks.neutra(funnel, flows.gaussian((10,)), DRAWS, seed=1),
    "NeuTra": tasks.neutra(funnel, flow, DRAWS, seed=1),
}
for name, found in chains.items():
    v, r_hat, size = (measure[..., 0].numpy() for measure in found[:3])
    print(f"{name}: v {v.mean():.2f} +- {v.std():.2f}, wanted 0 +- 3;", end=" ")
    print(f"R-hat {r_hat:.2f}, {size:.0f} effective draws")
    print(found.problem())

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
axes[0].set_ylabel("v; grey is one standard deviation")
for axis, (name, found) in zip(
    axes, {"surrogate": near, **chains}.items(), strict=True
):
    axis.plot(found.x[:, 1], found.x[:, 0], ".", ms=1)
    axis.axhspan(-3, 3, color="0.9", zorder=0)
    axis.set(title=name, xlim=(-20, 20), ylim=(-11, 11), xlabel="x[1]")
