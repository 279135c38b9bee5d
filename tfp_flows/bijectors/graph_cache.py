"""A cache for TFP bijectors that lets go of finished graphs.

TFP keeps every (x, y, log-det) it has computed in one process-wide dictionary, with
weak keys and strong values. For eager tensors that is sound. A symbolic tensor,
however, owns its graph, the graph owns all tensors, so a single strong value keeps
every key of its graph alive: no traced function that called a TFP bijector is ever
freed. Here the entries of a graph hang on the graph itself and die with it.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util

_ATTRIBUTE = "_tfp_flows_bijector_cache"


class GraphLocalCache(cache_util.BijectorCache):
    """`BijectorCache` with one storage for eager tensors and one in each graph."""

    @property
    def storage(self):
        """The entries that belong to the graph under construction, or to eager."""
        if tf.executing_eagerly():
            return self._eager_storage
        graph = tf.compat.v1.get_default_graph()
        if not hasattr(graph, _ATTRIBUTE):
            setattr(graph, _ATTRIBUTE, cache_util.EphemeralDict())
        return getattr(graph, _ATTRIBUTE)

    @storage.setter
    def storage(self, value: Any):
        self._eager_storage = value

    def __get__(self, bijector, bijector_class=None):
        """Binds the cache to a bijector; the copy shares the eager storage."""
        return type(self)(
            forward_name=self._forward_name,
            inverse_name=self._inverse_name,
            bijector=bijector,
            bijector_class=bijector_class,
            storage=self._eager_storage,
        )


def install() -> None:
    """Gives all TFP bijectors the graph-local cache; does nothing the second time.

    It must reach TFP's own `Chain` and `Invert` too: either of them around one of our
    bijectors would keep the graph alive on its own.
    """
    if not isinstance(tfp.bijectors.Bijector.__dict__["_cache"], GraphLocalCache):
        tfp.bijectors.Bijector._cache = GraphLocalCache()
