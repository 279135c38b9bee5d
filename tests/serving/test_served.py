"""What every exported recipe answers in the C++ runtime that TF Serving uses."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfp_flows import serving
from tfp_flows.distributions import StandardNormal, WithCircles

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("served")


def bordered(x, shape):
    """Adds zeros below and to the right, where a border of one goes."""
    missing = [n - m for n, m in zip(shape, x.shape[1:], strict=True)]
    assert set(missing) <= {0, 1}
    return np.pad(x, [(0, 0), *((0, n) for n in missing)])


def python_answers(served, name, inputs):
    """Returns what the flow itself says, in Python."""
    if served.is_autoregressive:
        return autoregressive_answers(served.flow, name, inputs)
    flow, inner = served.flow, served.inner
    inputs = dict(inputs)
    context = {}
    if "context" in inputs:
        context["context"] = tf.cast(inputs.pop("context"), inner.dtype)
    if name in ("log_prob", "serving_default"):
        x = tf.cast(inputs["x"], inner.dtype)
        return {"log_prob": inner.log_prob(x, **context)}
    if name == "encode":
        z, log_det = inner.encode_and_log_det(inputs["x"], **context)
        return {"z": z, "log_det": log_det}
    if name == "decode":
        x, log_det = inner.decode_and_log_det(inputs["z"], **context)
        return {"x": x, "log_det": log_det}
    if name == "bits_per_dim":
        image = bordered(inputs["x"], inner.event_shape)
        u = serving.row_uniform(inputs["seed"], inner.event_shape.num_elements())
        u, log_q = tf.reshape(u, image.shape), 0.0
        if flow.noise is not None:  # the sigmoid of a logit of u, moved by the flow
            z = tf.math.log(u) - tf.math.log1p(-u)
            seen = ((image + 0.5) * 2.0 / flow.num_values - 1.0).astype(np.float32)
            u = flow.noise.decode(z, seen)
            log_q = flow.noise.log_prob(tf.identity(u), context=seen)
        point = tf.cast(image + u, inner.dtype)
        log_prob = inner.log_prob(point, **context) - log_q
        size = flow.event_shape.num_elements()
        return {"log_prob": log_prob, "bits_per_dim": -log_prob / size / np.log(2.0)}
    base = inner.distribution
    if isinstance(base, StandardNormal):
        noise = serving.row_normal(inputs["seed"], base.num_uniforms)
        noise = tf.reshape(noise, [-1, *base.event_shape])
    else:
        uniform = serving.row_uniform(inputs["seed"], base.num_uniforms)
        noise = base.from_uniform(uniform)
    temperature = inputs["temperature"].reshape([-1] + [1] * base.event_shape.rank)
    mean = 0.0
    if isinstance(base, WithCircles):  # no temperature for angles, no mean either
        temperature = np.where(base.is_angle, np.float32(1), temperature)
    else:
        mean = base.mean()
    z = mean + tf.cast(temperature, base.dtype) * (tf.cast(noise, base.dtype) - mean)
    x = inner.decode(z, **context)
    log_prob = inner.log_prob(tf.identity(x), **context)
    if flow.num_values is not None:
        x = np.clip(np.floor(x), 0, flow.num_values - 1)
        x = x[(slice(None), *(slice(n) for n in flow.event_shape))]
    return {"x": x, "log_prob": log_prob}


def autoregressive_answers(model, name, inputs):
    context = {}
    if "context" in inputs:
        context["context"] = tf.cast(inputs["context"], model.real_dtype)
    if name == "sample":
        u = serving.row_uniform(inputs["seed"], model.num_uniforms)
        # Row by row: each has a temperature of its own.
        x = tf.concat(
            [
                model.from_uniform(
                    u[i : i + 1],
                    temperature=float(temperature),
                    **{key: value[i : i + 1] for key, value in context.items()},
                )
                for i, temperature in enumerate(inputs["temperature"])
            ],
            axis=0,
        )
        return {"x": x, "log_prob": model.log_prob(x, **context)}
    if name == "complete":
        u = serving.row_uniform(inputs["seed"], model.num_uniforms)
        x = tf.concat(
            [
                model.from_uniform(
                    u[i : i + 1],
                    known=(inputs["x"][i : i + 1], known[None] == 1),
                    **{key: value[i : i + 1] for key, value in context.items()},
                )
                for i, known in enumerate(inputs["known"])
            ],
            axis=0,
        )
        return {"x": x, "log_prob": model.log_prob(x, **context)}
    log_prob = model.log_prob(inputs["x"], **context)
    if name != "bits_per_dim":
        return {"log_prob": log_prob}
    bits = model.bits_per_dim(inputs["x"], **context)
    return {"log_prob": log_prob, "bits_per_dim": bits}


def assert_close(got, wanted, keys=None, rows=slice(None)):
    assert set(got) == set(wanted) or keys
    for key in keys or wanted:
        value = np.asarray(wanted[key])
        if value.dtype == np.bool_:
            np.testing.assert_array_equal(got[key][rows], value[rows], err_msg=key)
            continue
        atol = 1e-5 * np.nanmax(np.abs(value), initial=1.0)
        np.testing.assert_allclose(
            got[key][rows], value[rows], rtol=1e-5, atol=atol, err_msg=key
        )


def test_answers_are_those_of_the_flow_in_python(served):
    for name, inputs in served.requests().items():
        got = served.ask(name, inputs)
        wanted = python_answers(served, name, inputs)
        assert set(got) == {*wanted, "valid"}, name
        assert got["valid"].all(), name
        assert all(v.dtype == np.float32 for k, v in got.items() if k != "valid")
        assert_close(got, wanted, keys=wanted)


def test_wrong_shapes_are_invalid_arguments(served):
    for name, inputs in served.requests().items():
        for key, value in inputs.items():
            wrong = [value[..., None], value[None]]
            if value.ndim > 1:
                wrong += [np.concatenate([value] * 2, -1), value[..., :1]]
            for array in wrong:
                if array.shape == value.shape:
                    continue
                code = served.ask(name, {**inputs, key: array})
                assert code == 3, (name, key, array.shape)


def test_a_nan_row_changes_no_other_row(served):
    others = np.array([0, 1, 3, 4])
    for name, inputs in served.requests().items():
        clean = served.ask(name, inputs)
        for key in (k for k, v in inputs.items() if v.dtype.kind == "f"):
            bad = inputs[key].copy()
            bad[2] = np.nan
            got = served.ask(name, {**inputs, key: bad})
            assert_close(got, clean, rows=others)
            assert not got["valid"][2]
            floats = [v[2] for k, v in got.items() if k != "valid"]
            assert all(np.isnan(v).all() for v in floats)


def test_sample_rows_do_not_depend_on_the_batch(served):
    inputs = served.requests()["sample"]
    batch = served.ask("sample", inputs)
    pick = lambda rows: {k: v[rows] for k, v in inputs.items()}  # noqa: E731
    for rows in ([3], [4, 2, 0, 1, 3], [1, 2], [0, 1, 2, 3, 4, 0, 0, 0]):
        got = served.ask("sample", pick(np.array(rows)))
        assert_close(got, {k: v[np.array(rows)] for k, v in batch.items()})
    is_small = served.is_autoregressive and served.flow.num_values  # of 81 states
    assert len(np.unique(batch["log_prob"])) >= (3 if is_small else 5)


def test_the_bound_of_a_row_does_not_depend_on_the_batch(served):
    if served.flow.num_values is None:
        pytest.skip("continuous")
    inputs = served.requests()["bits_per_dim"]
    batch = served.ask("bits_per_dim", inputs)
    for rows in ([3], [4, 2, 0, 1, 3], [0, 1, 2, 3, 4, 0, 0, 0]):
        rows = np.array(rows)
        got = served.ask("bits_per_dim", {k: v[rows] for k, v in inputs.items()})
        assert_close(got, {k: v[rows] for k, v in batch.items()})
    if served.is_autoregressive:
        assert "seed" not in inputs  # exact: there is no noise
        return
    other = {**inputs, "seed": inputs["seed"] + 100}
    assert (served.ask("bits_per_dim", other)["log_prob"] != batch["log_prob"]).all()


def test_a_bad_temperature_marks_its_row_only(served):
    inputs = served.requests()["sample"]
    temperature = np.array([0.0, -1.0, np.inf, 1.0, 1.0], np.float32)
    got = served.ask("sample", {**inputs, "temperature": temperature})
    assert got["valid"].tolist() == [False, False, False, True, True]
    assert np.isnan(got["x"][:3]).all() and np.isfinite(got["x"][3:]).all()


def test_encode_and_decode_agree_with_each_other_and_log_prob(served):
    if served.is_autoregressive:
        pytest.skip("no latent space")
    requests = served.requests()
    there = served.ask("encode", requests["encode"])
    extra = {k: v for k, v in requests["decode"].items() if k == "context"}
    back = served.ask("decode", {"z": there["z"], **extra})
    np.testing.assert_allclose(back["x"], requests["encode"]["x"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(back["log_det"], -there["log_det"], rtol=1e-3, atol=1e-3)
    log_prob = served.ask("log_prob", requests["log_prob"])["log_prob"]
    base = served.inner.distribution.log_prob(
        tf.cast(there["z"], served.inner.dtype)
    ).numpy()
    np.testing.assert_allclose(log_prob, base + there["log_det"], rtol=1e-4, atol=1e-4)


def test_integers_out_of_range_are_not_valid(served):
    if served.flow.num_values is None:
        pytest.skip("continuous")
    requests = served.requests()
    for name in ("bits_per_dim", "log_prob"):
        clean = served.ask(name, requests[name])
        x = requests[name]["x"].copy()
        low, high = -1, served.flow.num_values
        if x.dtype == np.float32:  # points of cells [k, k + 1)
            low, high = low + 0.5, high + 0.5
        x[0].flat[0], x[1].flat[0] = low, high
        got = served.ask(name, {**requests[name], "x": x})
        assert got["valid"].tolist() == [False, False, True, True, True]
        assert np.isnan(got["log_prob"][:2]).all()
        assert_close(got, clean, rows=slice(2, None))


def test_no_matrix_is_inverted_at_a_call(served):
    """Inverses of weights are constants; full Gaussians solve for their events."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((served.directory / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    kinds = {node.op for node in nodes}
    assert kinds & {"MatMul", "BatchMatMulV2", "MatrixTriangularSolve"}
    if served.name not in ("gaussian", "gaussian mixture", "maf"):
        assert not any(w in k for k in kinds for w in ("Solve", "Qr", "Inverse"))


def test_weights_are_stored_once(served):
    reader = tf.train.load_checkpoint(str(served.directory / "variables/variables"))
    shapes = reader.get_variable_to_shape_map()
    shapes.pop("_CHECKPOINTABLE_OBJECT_GRAPH")
    stored = sum(int(np.prod(shape)) for shape in shapes.values())
    wanted = sum(int(np.prod(v.shape)) for v in served.flow.raw_variables)
    # Of a matrix there is its inverse too; of MADE's kernels there are steps' blocks.
    two_forms = ("gaussian", "gaussian mixture", "maf", "iaf", "autoregressive spline")
    share = 2.5 if served.name in (*two_forms, "real elements") else 1.2
    assert stored < share * wanted  # small ones are constants of the graph
