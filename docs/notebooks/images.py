# %% [markdown]
# # Images
#
# Handwritten digits, 8 x 8 pixels of 17 grey levels: a Glow, which is fast to sample and
# has a latent space, and a PixelCNN, which is exact and completes what is missing.
# Takes about three minutes on two CPU cores.

# %%
# %matplotlib inline
import keras
import numpy as np
from sklearn.datasets import load_digits

from tfp_flows import FlowModel, flows, plots, tasks
from tfp_flows.distributions import complete

EPOCHS = 40
keras.utils.set_random_seed(0)
x, label = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(x))
x, label = x[order].reshape(-1, 8, 8, 1).astype("int32"), label[order]
train, test = x[:1500], x[1500:]

# %%
glow = flows.glow((8, 8, 1), num_levels=2, num_steps=4, filters=32, num_values=17)
model = FlowModel(glow)
model.compile(keras.optimizers.Adam(3e-3))
model.fit(train, epochs=EPOCHS, batch_size=32, verbose=0)
print(f"Glow: {np.mean(glow.bits_per_dim(test, seed=0)):.2f} bits/dim, a bound")

# %%
cold = glow.sample(48, seed=1, temperature=0.7).numpy()
plots.samples({"data": test[:48], "Glow, temperature 0.7": cold})

# %% [markdown]
# From one digit to another through the latent space:

# %%
ends = test[:4], test[4:8]
plots.interpolations(tasks.interpolate(glow, *ends, 9))

# %% [markdown]
# A PixelCNN draws pixel by pixel, so that any beginning can be given: the upper half is
# known here, and each row shows four draws of the rest.

# %%
pixels = flows.pixel_cnn((8, 8, 1), num_blocks=3, filters=16, num_values=17)
model = FlowModel(pixels)
model.compile(keras.optimizers.Adam(3e-3))
model.fit(train, epochs=EPOCHS, batch_size=32, verbose=0)
print(f"PixelCNN: {np.mean(pixels.bits_per_dim(test)):.2f} bits/dim, exact")

# %%
known = np.zeros((8, 8, 1), bool)
known[:4] = True
draws = complete(pixels, test[:6], known, n=4, seed=1)
plots.completions(test[:6], known, draws)

# %% [markdown]
# Which test digits are the most and the least likely?

# %%
plots.extremes(test, pixels.bits_per_dim(test), count=8)
