"""The default signature: another name of `log_prob`, not a second one.

TensorFlow writes a signature for each name, with a graph of its own, which every server
would optimize and hold as well. Here the names lead to the same tensors.
"""

import pathlib

from tensorflow.core.protobuf import saved_model_pb2

# No public function writes the fingerprint of a model that is there already.
from tensorflow.python.saved_model import fingerprinting_utils

from tfp_flows.serving.endpoints import DEFAULT, LOG_PROB


def name_default(directory: pathlib.Path) -> None:
    """Adds the default signature to a SavedModel that has `log_prob`.

    Args:
      directory: that holds `saved_model.pb`; its `fingerprint.pb` is written anew.
    """
    path = directory / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (graph,) = model.meta_graphs
    graph.signature_def[DEFAULT].CopyFrom(graph.signature_def[LOG_PROB])
    # What `tf.saved_model.load` finds the signatures by.
    nodes = graph.object_graph_def.nodes
    (place,) = (c.node_id for c in nodes[0].children if c.local_name == "signatures")
    children = nodes[place].children
    (known,) = (c.node_id for c in children if c.local_name == LOG_PROB)
    children.add(node_id=known, local_name=DEFAULT)
    path.write_bytes(model.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(directory))
