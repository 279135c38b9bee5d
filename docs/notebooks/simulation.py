# %% [markdown]
# # Inference from simulations: foxes and rabbits
#
# The Lotka-Volterra equations with noise, as in the sbi benchmark (Lueckmann et al.,
# 2021): four rates, twenty times at which both populations are counted. The likelihood
# is not used; the posterior is learned from simulations and then checked.
# Takes about two minutes on two CPU cores.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow_probability as tfp

from tfp_flows import diagnostics, plots, tasks

tfd = tfp.distributions
SIMULATIONS, EPOCHS = 20_000, 20
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
NAMES = ["birth", "eaten", "death", "eats"]

# Of the logarithms of the four rates.
prior = tfd.MultivariateNormalDiag([-0.125, -3.0, -0.125, -3.0], [0.5] * 4)


def populations(theta, times=20, steps_per_time=20):
    """Runge-Kutta of fourth order; `[N, 4]` -> `[N, times, 2]`."""
    birth, eaten, death, eats = np.exp(theta.T)
    step = 20.0 / (times * steps_per_time)

    def slope(y):
        rabbits, foxes = y
        meetings = rabbits * foxes
        growth = birth * rabbits - eaten * meetings, eats * meetings - death * foxes
        return np.stack(growth)

    y = np.stack([np.full(len(theta), 30.0), np.full(len(theta), 1.0)])
    kept = []
    for i in range(times * steps_per_time):
        if i % steps_per_time == 0:
            kept.append(y)
        a = slope(y)
        b = slope(y + step / 2 * a)
        c = slope(y + step / 2 * b)
        y = y + step / 6 * (a + 2 * b + 2 * c + slope(y + step * c))
    return np.maximum(np.stack(kept).transpose(2, 0, 1), 1e-8)


def simulator(theta):
    """Logarithms of counts with 10 % of noise, `[N, 4]` -> `[N, 40]`."""
    logs = np.log(populations(theta)).reshape(len(theta), -1)
    return logs + 0.1 * rng.standard_normal(logs.shape)


# %%
learned = tasks.posterior(
    simulator, prior, SIMULATIONS, epochs=EPOCHS, drop_invalid=True
)

# %% [markdown]
# An observation whose rates are known. Its posterior (blue) is a small part of the prior
# (grey), and a narrow ridge: rates that make nearly the same cycles.

# %%
truth = np.array([[-0.3, -3.0, 0.0, -3.1]])
observed = simulator(truth)[0]
draws = learned.given(observed).sample(2000, seed=1).numpy()
for name, true, mean, deviation in zip(
    NAMES, truth[0], draws.mean(axis=0), draws.std(axis=0), strict=True
):
    print(f"{name}: {mean:.2f} +- {deviation:.2f}, in truth {true:.2f}")
plots.corner(draws, prior.sample(2000, seed=2), NAMES)

# %% [markdown]
# What the posterior predicts (blue), beside what was observed (black):

# %%
future = populations(draws[:100])
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for i, (axis, title) in enumerate(zip(axes, ("rabbits", "foxes"), strict=True)):
    axis.plot(future[:, :, i].T, color="C0", alpha=0.1)
    axis.plot(np.exp(observed.reshape(20, 2)[:, i]), "k.")
    axis.set(title=title, xlabel="time", ylabel="count", yscale="log")

# %% [markdown]
# Is it to be believed? Simulation-based calibration: the ranks of the true rates among
# draws of their posteriors are uniform if, over all observations, it is. Here it is not
# quite: regions that should hold half of the true rates hold less, so the posteriors are
# a little too narrow. More simulations are the cure, and the check says when it is done.

# %%
test = tasks.simulate(simulator, prior, 500, seed=8, drop_invalid=True)
print(diagnostics.sbc(learned, test.theta, test.x))
