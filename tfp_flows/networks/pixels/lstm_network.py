"""What the two networks of PixelRNN share."""

from collections.abc import Sequence

from tfp_flows.networks.pixels.network import PixelNetwork


class LSTMNetwork(PixelNetwork):
    """A pixel network whose blocks are LSTM layers.

    Args:
      event_shape: `(H, W, C)`.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      units: of each LSTM; between the layers there are twice as many channels.
      num_layers: LSTM layers.
      dropout: rate on the LSTMs' outputs, in training mode.
      **kwargs: of `PixelNetwork`.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        units: int = 32,
        num_layers: int = 3,
        dropout: float = 0.0,
        **kwargs,
    ):
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout
        super().__init__(
            event_shape,
            num_params,
            num_features,
            filters=2 * units,
            num_blocks=num_layers,
            **kwargs,
        )
