"""What all diagnostics have in common: a finding, and the refusal of a model."""

import dataclasses


class DoesNotFit(ValueError):
    """The question makes no sense for this model; `diagnose` leaves it out.

    Examples:
      >>> from tfp_flows import diagnostics, flows
      >>> try:
      ...     diagnostics.decompose(flows.nice((2,), 2, (8,)), [[0.0, 1.0]] * 20)
      ... except DoesNotFit:
      ...     print("for autoregressive models only")
      for autoregressive models only
    """


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one diagnostic found; `str` says it in a line.

    Subclasses have what was measured as fields, and say what follows from it.

    Examples:
      >>> from tfp_flows import diagnostics, flows
      >>> flow = flows.gaussian((2,))
      >>> found = diagnostics.latent_normality(flow, flow.sample(500, seed=1))
      >>> isinstance(found, Finding), found.is_sound
      (True, True)
    """

    @property
    def p_value(self) -> float | None:
        """Of "the model is right"; None if the finding is no test."""
        return None

    @property
    def is_sound(self) -> bool:
        """False where a number is beyond what anybody would accept, test or not."""
        return True


def shown(p_value: float) -> str:
    """Returns a p-value as text.

    Args:
      p_value: between 0 and 1.

    Examples:
      >>> shown(0.25), shown(1e-9)
      ('p = 0.25', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
