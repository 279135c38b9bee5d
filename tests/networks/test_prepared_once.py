"""Constants of an export: what follows from weights alone, and nothing else."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.networks.weights.prepared_once import prepared_once, run_once


def traced(function):
    signature = [tf.TensorSpec([None, 2], name="x")]
    return tf.function(function, input_signature=signature, autograph=False)


def kinds(function):
    graph = function.get_concrete_function().graph
    return [op.type for op in graph.get_operations()]


def test_values_are_those_of_the_weights_as_they_were():
    weight = tf.Variable([[1.0, 2.0], [3.0, 5.0]])
    plain = traced(lambda x: {"y": x @ tf.linalg.inv(weight), "weight": weight + 0.0})
    x = tf.constant([[1.0, 4.0]])
    wanted = plain(x)
    fixed = prepared_once({"f": plain})["f"]
    weight.assign(tf.eye(2))
    found = fixed(x)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)
    assert "MatrixInverse" not in kinds(fixed)


def test_equal_tensors_of_several_functions_are_one():
    weight = tf.Variable(tf.random.stateless_normal([2, 100], [1, 2]))
    functions = {
        "wide": traced(lambda x: x @ (2.0 * weight)),
        "sum": traced(lambda x: tf.reduce_sum(x @ (2.0 * weight), axis=-1)),
    }
    functions = prepared_once(functions)
    one, other = (f.get_concrete_function().variables for f in functions.values())
    assert len(one) == len(other) == 1 and one[0] is other[0]


def test_equal_constants_are_one_also_as_results():
    def call(x):
        two = [tf.constant([1.0, 2.0]) for _ in range(5)]
        return [x * two[0] + two[1], two[2], two[3], tf.constant([1, 2]), tf.shape(x)]

    signature = [tf.TensorSpec([None], name="x")]
    function = tf.function(call, signature, autograph=False)
    (fixed,) = prepared_once({"f": function}).values()
    ops = fixed.get_concrete_function().graph.get_operations()
    constants = [op.get_attr("value") for op in ops if op.type == "Const"]
    assert len({c.SerializeToString() for c in constants}) == len(constants) == 2
    x = tf.constant([3.0, 4.0])
    for one, other in zip(fixed(x), call(x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_operations_are_one_and_gradients_are_not_stopped():
    def call(x):
        halves = [tf.split(tf.stop_gradient(x), 2, axis=-1) for _ in range(3)]
        return {"sum": tf.add_n([a * b for a, b in halves]), "of x": halves[2][1]}

    plain = traced(call)
    fixed = prepared_once({"f": plain})["f"]
    x = tf.constant([[3.0, 4.0], [5.0, 6.0]])
    found = fixed(x)
    for name, value in plain(x).items():
        np.testing.assert_array_equal(found[name], value)
    assert kinds(plain).count("Split") == kinds(plain).count("Mul") == 3
    assert kinds(fixed).count("Split") == kinds(fixed).count("Mul") == 1
    assert "StopGradient" not in kinds(fixed)


def test_draws_of_equal_generators_stay_apart():
    def call(x):
        return [tf.random.uniform(tf.shape(x)) for _ in range(2)]

    one, other = prepared_once({"f": traced(call)})["f"](tf.zeros([3, 2]))
    assert np.any(one != other)


def optimizer_is_off():
    """What the call of a function that is traced now remembers."""
    inner = tf.function(lambda x: 2.0 * x)
    outer = tf.function(lambda x: inner(x)).get_concrete_function(tf.TensorSpec([]))
    (call,) = (op for op in outer.graph.get_operations() if "Call" in op.type)
    config = tf.compat.v1.ConfigProto.FromString(call.get_attr("config_proto"))
    return config.graph_options.rewrite_options.disable_meta_optimizer


def test_what_is_run_once_is_optimized_elsewhere():
    with pytest.raises(RuntimeError), run_once():
        assert optimizer_is_off()
        with run_once():
            assert optimizer_is_off()
        assert optimizer_is_off()
        raise RuntimeError
    assert not optimizer_is_off()


def test_two_threads_run_once_side_by_side_and_a_third_knows_nothing_of_it():
    inside, other_inside, outside = (threading.Event() for _ in range(3))
    found = {}

    def one():
        with run_once():
            inside.set()
            other_inside.wait(60)
        outside.set()
        found["one"] = optimizer_is_off()

    def other():
        inside.wait(60)
        with run_once():
            other_inside.set()
            outside.wait(60)
            found["other, inside"] = optimizer_is_off()
        found["other"] = optimizer_is_off()

    def third():
        inside.wait(60)
        found["third"] = optimizer_is_off()

    threads = [threading.Thread(target=f) for f in (one, other, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    wanted = {"one": False, "other, inside": True, "other": False, "third": False}
    assert found == wanted and not optimizer_is_off()


def asserted(x):
    both = []
    for factor in (2.0, 3.0):  # checks of what is known are operations without effect
        with tf.control_dependencies([tf.debugging.assert_rank(x, 2)]):
            both.append(factor * x)
    return both


def waiting(x):
    a, b = tf.split(tf.exp(x), 2, axis=-1)
    for _ in range(2):
        with tf.control_dependencies([tf.group(a, tf.stop_gradient(b))]):
            x = x + 1.0
    with tf.control_dependencies([tf.stop_gradient(x), tf.stop_gradient(b)]):
        return x * 2.0, tf.stop_gradient(b)


def of_its_input_alone(x):
    stopped = tf.stop_gradient(x)
    with tf.control_dependencies([stopped]):
        return stopped, x * 2.0


def colocated(x):
    twice = [tf.exp(x) for _ in range(2)]
    with tf.compat.v1.colocate_with(twice[1]):
        return x + 1.0, twice


@pytest.mark.parametrize("call", [asserted, waiting, of_its_input_alone, colocated])
def test_what_waits_for_an_operation_or_stands_beside_it_stays(call):
    plain, x = traced(call), tf.constant([[3.0, 4.0], [5.0, 6.0]])
    found = prepared_once({"f": plain})["f"](x)
    for one, wanted in zip(
        tf.nest.flatten(found), tf.nest.flatten(plain(x)), strict=True
    ):
        np.testing.assert_array_equal(one, wanted)


def test_a_variable_that_the_function_changes_is_read_and_changed():
    count = tf.Variable(1.0)

    def counting(x):
        count.assign_add(1.0)
        return x * count

    fixed = prepared_once({"f": traced(counting)})["f"]
    assert [float(fixed(tf.ones([1, 2]))[0, 0]) for _ in range(3)] == [2.0, 3.0, 4.0]


def test_loops_keep_what_they_are_given():
    weight = tf.Variable([1.0, 2.0])

    def powers(x):
        factor = tf.exp(weight)
        return tf.while_loop(
            lambda i, _: i < 3, lambda i, y: (i + 1, y * factor), (0, x)
        )

    plain = traced(powers)
    fixed = prepared_once({"f": plain})["f"]
    for found, wanted in zip(
        fixed(tf.ones([3, 2])), plain(tf.ones([3, 2])), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
    assert "Exp" not in kinds(fixed)


def test_operations_with_effects_and_random_ones_stay():
    weight = tf.Variable(0.5)

    def noisy(x):
        return x + weight * tf.random.uniform([], 0.0, 2.0 * weight)

    assert "RandomUniform" in kinds(prepared_once({"f": traced(noisy)})["f"])


def test_what_a_loop_reads_is_kept_itself_in_all_functions():
    weight = tf.Variable([1.0, 2.0])

    def looped(x):
        body = lambda i, y: (i + 1, y * tf.exp(weight))  # noqa: E731
        return tf.while_loop(lambda i, _: i < 3, body, (0, x))

    plain = traced(lambda x: x * tf.exp(weight))
    functions = prepared_once({"looped": traced(looped), "plain": plain})
    for function in functions.values():
        (read,) = function.get_concrete_function().captured_inputs
        assert read is weight.handle
    y = functions["plain"](tf.ones([1, 2]))
    np.testing.assert_allclose(y, tf.exp([weight]), rtol=1e-6)
