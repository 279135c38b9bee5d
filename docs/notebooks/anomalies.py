# %% [markdown]
# # Anomalies in a table
#
# scikit-learn's breast cancer table: 30 measures of cells. A density learns what benign
# samples look like, and never sees a malignant one. Held-out benign samples turn its
# scores into p-values, so that the rate of false alarms is what was asked for.
# Takes about a minute on two CPU cores.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from tfp_flows import FlowModel, flows, tasks

EPOCHS, DIVISIONS, RATE = 150, 50, 0.1
keras.utils.set_random_seed(0)
table = load_breast_cancer()
rows = table.data.astype("float32")
benign = np.random.default_rng(0).permutation(rows[table.target == 1])
malignant = rows[table.target == 0]
train, valid, calibration, test = np.split(benign, [150, 180, 270])
print(*(len(part) for part in (train, valid, calibration, test, malignant)))

# %% [markdown]
# Small tables want small models, and a stop when held-out rows get no better.

# %%
flow = flows.real_nvp((30,), num_steps=4, hidden_units=(64,), dropout=0.3)
model = FlowModel(flow)
model.compile("adam")
stop = keras.callbacks.EarlyStopping("val_loss", patience=15, restore_best_weights=True)
model.fit(train, epochs=EPOCHS, validation_data=(valid,), callbacks=[stop], verbose=0)
gaussian = flows.gaussian((30,))
gaussian.adapt(train)
for name, density in {"real_nvp": flow, "gaussian": gaussian}.items():
    print(f"{name}: {np.mean(density.log_prob(test)):.1f} nats")

# %% [markdown]
# `AnomalyDetector` takes any model and calibration rows that the model was not trained
# on. What is called an anomaly has a p-value below the rate.

# %%
for name, density in {"real_nvp": flow, "gaussian": gaussian}.items():
    detector = tasks.AnomalyDetector(density, calibration)
    scores = np.concatenate([detector.score(test), detector.score(malignant)])
    is_malignant = np.arange(len(scores)) >= len(test)
    print(
        f"{name}: {detector.detect(test, rate=RATE).mean():.2f} of benign test rows,",
        f"{detector.detect(malignant, rate=RATE).mean():.2f} of malignant ones;",
        f"area under the ROC curve {roc_auc_score(is_malignant, scores):.3f}",
    )

# %% [markdown]
# One division into 90 rows that calibrate and 87 that are judged is a small sample: the
# share of false alarms differs from division to division. On average it is the rate, or a
# little less, whatever the model is worth.

# %%
held_out, rng = np.concatenate([calibration, test]), np.random.default_rng(1)
shares = []
for _ in range(DIVISIONS):
    rows = rng.permutation(held_out)
    detector = tasks.AnomalyDetector(gaussian, rows[:90])
    shares.append(detector.detect(rows[90:], rate=RATE).mean())
print(f"{np.mean(shares):.3f}, from {min(shares):.3f} to {max(shares):.3f}")

# %% [markdown]
# p-values of rows like the calibration rows are uniform. With 90 of them they are
# multiples of 1 / 91.

# %%
detector = tasks.AnomalyDetector(flow, calibration)
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.linspace(0, 1, 21)
for name, part in {"benign": test, "malignant": malignant}.items():
    axis.hist(detector.p_value(part), bins, density=True, alpha=0.6, label=name)
axis.axvline(RATE, color="0.3", lw=1)
axis.set(xlabel="p-value", ylabel="density")
axis.legend()
print(f"{np.mean(detector.p_value(test)):.2f}")
