"""A loop over numbered steps whose graph is as small for many as for few."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def fold(
    function: Callable[..., tuple[list[tf.Tensor], list[tf.Tensor | None]]],
    state: list[tf.Tensor],
    findings: Sequence[tf.TensorSpec | None],
    count: int,
    backwards: bool = False,
) -> tuple[list[tf.Tensor], list[tf.Tensor | None]]:
    """Applies a function `count` times to its own result, and gathers what it finds.

    One step after the other: a step's intermediate values are gone when the next one
    begins. Not differentiable in constant memory; wrap it in `tf.custom_gradient`.

    Args:
      function: (number of the step, *state) -> (new state, findings). The number is an
        int32 tensor.
      state: tensors to begin with, of the shapes that they keep.
      findings: shape and dtype of each finding of one step, None where there is none.
      count: number of steps.
      backwards: whether to go from the last number to the first.

    Returns:
      The last state, and each finding of all steps, `[count, ...]`, by number.

    Examples:
      >>> (total,), squares = fold(
      ...     lambda k, total: ([total + k], [k * k]),
      ...     [tf.constant(0)],
      ...     [tf.TensorSpec([], tf.int32)],
      ...     count=4,
      ... )
      >>> print(total.numpy(), squares[0].numpy())
      6 [0 1 4 9]
    """

    def body(i, state, arrays):
        number = count - 1 - i if backwards else i
        state, found = function(number, *state)
        present = [value for value in found if value is not None]
        pairs = zip(arrays, present, strict=True)
        return i + 1, state, [array.write(number, value) for array, value in pairs]

    arrays = [
        tf.TensorArray(spec.dtype, count, element_shape=spec.shape)
        for spec in findings
        if spec is not None
    ]
    _, state, arrays = tf.while_loop(
        lambda i, *_: i < count,
        body,
        [tf.constant(0), state, arrays],
        parallel_iterations=1,
    )
    remaining = iter(arrays)
    return state, [s if s is None else next(remaining).stack() for s in findings]
