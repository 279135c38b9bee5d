"""What a model can be asked, read from its SavedModel without loading its weights."""

import dataclasses
import posixpath

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

SERVED = "serve"  # the tag that the exporter writes
VALID = "valid"  # the output that every signature has


@dataclasses.dataclass(frozen=True)
class Spec:
    """Shape and dtype of one row of an input or output."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class Signature:
    """One of the functions of an exported model.

    Attributes:
      name: of the signature.
      inputs: name -> `Spec`.
      outputs: name -> `Spec`, `valid` included.
    """

    name: str
    inputs: dict[str, Spec]
    outputs: dict[str, Spec]

    @property
    def values(self) -> dict[str, Spec]:
        """The outputs without `valid`, in the order of their names."""
        return {k: self.outputs[k] for k in sorted(self.outputs) if k != VALID}


def read(model: str, name: str) -> Signature:
    """Returns a signature of an exported model.

    Args:
      model: version directory, such as "served/digits/1".
      name: of the signature.

    Returns:
      Its inputs and outputs.

    Raises:
      ValueError: if there is no such model, or it has no such signature; the message
        says which ones it has.
    """
    definitions = _meta_graph(model).signature_def
    if name not in definitions:
        # Those with two underscores are TensorFlow's own; the default has a name too.
        has = sorted(n for n in definitions if n[0] != "_" and n != "serving_default")
        raise ValueError(
            f"The model {model!r} has no signature {name!r}; it has {', '.join(has)}."
        )
    found = definitions[name]
    signature = Signature(name, _specs(found.inputs), _specs(found.outputs))
    if VALID not in signature.outputs:
        raise ValueError(
            f"Signature {name!r} of {model!r} does not say which rows are valid. Write "
            "the model with tfp_flows.serving.export."
        )
    return signature


def _meta_graph(model):
    path = posixpath.join(model, "saved_model.pb")
    if not tf.io.gfile.exists(path):
        raise ValueError(f"There is no {path!r}{_hint(model)}")
    with tf.io.gfile.GFile(path, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    for meta_graph in saved.meta_graphs:
        if SERVED in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError(f"{path!r} has no graph with the tag {SERVED!r}: export again.")


def _hint(model):
    names = tf.io.gfile.listdir(model) if tf.io.gfile.isdir(model) else []
    versions = [int(name) for name in (n.rstrip("/") for n in names) if name.isdigit()]
    if not versions:
        return ". Pass the directory of a version, such as served/digits/1."
    newest = posixpath.join(model, str(max(versions)))
    return f". Did you mean its version {newest!r}?"


def _specs(tensors):
    return {
        name: Spec(
            # Without the first dimension, the rows.
            tuple(dim.size for dim in info.tensor_shape.dim[1:]),
            np.dtype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype),
        )
        for name, info in tensors.items()
    }
