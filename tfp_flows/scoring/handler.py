"""The model handler of Beam's RunInference for models of `tfp_flows.serving.export`.

Beam's own for TensorFlow hand a SavedModel to Keras, which takes none.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from tfp_flows.scoring.blocks import Block


class FlowModelHandler(ModelHandler[Block, PredictionResult, Any]):
    """Asks one signature of an exported model about blocks of rows.

    A block is a batch: Beam neither joins nor cuts it, so that what a row gets does not
    turn on how an engine bundles its work.

    Args:
      model: version directory, such as "served/digits/1", on a file system that every
        worker sees.
      signature: one of the model's, such as "log_prob".

    Examples:
      >>> handler = FlowModelHandler("served/digits/1", "log_prob")
      >>> results = blocks | RunInference(handler)  # doctest: +SKIP
    """

    def __init__(self, model: str, signature: str):
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._path = model
        self._signature = signature

    def load_model(self) -> Any:
        """Returns the signature's function, with the model that owns its weights."""
        model = tf.saved_model.load(self._path)
        function = model.signatures[self._signature]
        function.owner = model  # else its variables go when this call returns
        return function

    def run_inference(
        self,
        batch: Sequence[Block],
        model: Any,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[PredictionResult]:
        """Yields for each block the outputs of all its rows, arrays by name.

        Args:
          batch: blocks, of which each is one call of the model.
          model: what `load_model` returned.
          inference_args: none are known.
        """
        for block in batch:
            inputs = {name: tf.constant(v) for name, v in block.inputs.items()}
            outputs = {name: v.numpy() for name, v in model(**inputs).items()}
            yield PredictionResult(block, outputs, self._path)

    def get_num_bytes(self, batch: Sequence[Block]) -> int:
        """Returns the size of the inputs; Beam's own way is to pickle them."""
        return sum(v.nbytes for block in batch for v in block.inputs.values())
