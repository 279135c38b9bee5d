# %% [markdown]
# # Quickstart
#
# A density of two-dimensional points: train it, look at it, draw from it, keep it.
# Takes about a minute on two CPU cores.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from tfp_flows import FlowModel, flows, plots

EPOCHS = 40
keras.utils.set_random_seed(0)
x, moon = make_moons(2500, noise=0.1, random_state=0)
x = x.astype("float32")
train, test = x[:2000], x[2000:]

# %% [markdown]
# A recipe gives a model: a TFP distribution over Keras networks. `FlowModel` makes it a
# Keras model, whose loss is the negative log-likelihood. Nothing has to be scaled by
# hand, and Adam needs no warm-up.

# %%
flow = flows.neural_spline((2,), num_steps=4, hidden_units=(64, 64))
model = FlowModel(flow)
model.compile("adam")
history = model.fit(train, epochs=EPOCHS, validation_data=(test,), verbose=0)
plots.training_curves(history.history)

# %%
print(f"{-np.mean(flow.log_prob(test)):.3f} nats an event")
plots.density(flow.log_prob, flow.sample(1000, seed=1), test)

# %% [markdown]
# The density integrates to one, which nobody told it:

# %%
sides = (
    np.linspace(-4, 5, 400, dtype="float32"),
    np.linspace(-3, 4, 400, dtype="float32"),
)
grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
cell = (sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0])
print(f"{np.exp(flow.log_prob(grid)).sum() * cell:.4f}")

# %% [markdown]
# What is it that a flow does? It carries data to noise, and back without loss. Each
# colour is a part of the upper moon.

# %%
upper = test[moon[2000:] == 0]
z = flow.encode(upper).numpy()
figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for axis, name, points in zip(axes, "xz", (upper, z), strict=True):
    axis.scatter(*points.T, c=upper[:, 0] // 0.5, s=8)
    axis.set(xlabel=f"{name}0", ylabel=f"{name}1", aspect="equal")
axes[0].set_title("data")
axes[1].set_title("encoded")
print(np.abs(flow.decode(z) - upper).max())

# %% [markdown]
# Kept with its recipe, and back:

# %%
model.save("moons.keras")
again = keras.models.load_model("moons.keras")
np.testing.assert_allclose(again.flow.log_prob(test), flow.log_prob(test), atol=1e-4)
