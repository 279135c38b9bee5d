"""A client of served flows: NumPy arrays in and out, without TensorFlow.

Examples:
  >>> from tfp_flows.serving.client import Client
  >>> client = Client("localhost:8500", "digits")  # doctest: +SKIP
  >>> client.sample(1000, seed=7)  # doctest: +SKIP
"""

from tfp_flows.serving.client.client import Client
from tfp_flows.serving.client.errors import ServerError

__all__ = ["Client", "ServerError"]
