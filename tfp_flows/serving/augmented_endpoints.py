"""The served functions of a model with an auxiliary variable.

| signature | inputs                               | outputs          |
|-----------|--------------------------------------|------------------|
| log_prob  | x f32 [B, *E], seed i64 [B, 2]       | log_prob f32 [B] |
| sample    | seed i64 [B, 2], temperature f32 [B] | x f32 [B, *E]    |

`serving_default`, `valid` and `context` are as for flows, see `flow_endpoints`.

`log_prob` is a lower bound in nats, from one draw of the auxiliary variable, which
follows from the row's seed: average over seeds for a tighter one.
"""

import tensorflow as tf

from tfp_flows.distributions import Augmented
from tfp_flows.serving import row_noise
from tfp_flows.serving.endpoints import Endpoints, base_noise, check_model, spec


class AugmentedEndpoints(Endpoints):
    """Traces the served functions of an `Augmented` distribution.

    Args:
      model: the distribution; base noise of both parts comes from `Base`s.
      nonfinite: what an invalid row holds, "nan" or "sentinel" (float32's lowest).
      labels: whether `label` takes the place of `context`, see `Endpoints`.

    Raises:
      ValueError: if `nonfinite` is neither.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.reversible((3,), 1, (4,))
      >>> sorted(AugmentedEndpoints(model).functions())
      ['log_prob', 'sample']
    """

    def __init__(self, model: Augmented, nonfinite: str = "nan", labels: bool = False):
        check_model(model)
        super().__init__(model, nonfinite, labels, model.real_dtype)
        self._model = model

    def signatures(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the inputs of each signature, in order, without `context`."""
        seed = {"seed": spec((2,), tf.int64)}
        event = {"x": spec(tuple(self._model.event_shape.as_list()))}
        return {"log_prob": event | seed, "sample": seed | {"temperature": spec(())}}

    def _log_prob(self, x, seed, **context):
        z = base_noise(self._model.auxiliary_base, seed, self._real)
        u, log_q = self._model.auxiliary_from_base(x, z)
        log_prob = self._model.joint.log_prob([x, u], **context) - log_q
        return {"log_prob": log_prob}, []

    def _sample(self, seed, temperature, **context):
        bases = self._model.joint.distribution.model
        sizes = [base.num_uniforms for base in bases]
        uniforms = row_noise.row_uniform(seed, sum(sizes))
        z = []
        for base, part in zip(bases, tf.split(uniforms, sizes, axis=-1), strict=True):
            noise, mean = base.from_uniform(tf.cast(part, self._real)), base.mean()
            ones = [1] * base.event_shape.rank
            scale = tf.reshape(temperature, [-1, *ones])
            z.append(mean + scale * (noise - mean))
        x, _ = self._model.joint.decode(z, **context)
        return {"x": x}, [temperature > 0]
