"""How far one step of an optimizer moves a flow, and the factors that bound it.

Adam's first steps have full length: every weight moves by the rate r, whatever its
gradient, and the signs agree. A unit with n inputs of size 1 then moves by n r, not by
r: half of a log-scale in one step for a 3x3 kernel on 128 channels at r = 1e-3, in all
couplings of a flow at once. Such a flow is lost in its second step. So what is trained
is not a kernel W but V in

W = gain V,  gain = min(1, g / n)

and a step moves the unit by at most g r, whatever the width and the kernel. V begins
as large as W / gain, so the function at the start is the usual one. g differs by place:

- `head`, 128: last layers of conditioners, which begin at zero and see centred
  features, whose changes have no common sign (see `heads`). Large, to learn soon.
  Features that are the sum of k layers, those of a residual network, change by all k:
  sqrt(k) times as far, and g is as much smaller. Those of `ConvResNet` also go
  far themselves, see `bounded`, and g of their head is 32: with 128 the last batches of
  a RealNVP on MNIST at r = 5e-3, two epochs, had 2,891 nats in place of 1,263.
  Of vectors the data say how they vary, and from 0.03 on it counts as 0.16: as Keras
  begins it is 0.03 for wide layers and 0.07 for others, and little is learned in the
  first hundred steps. With 1/4 a neural spline flow on wine ended 1 nat higher at r =
  5e-3, after batches 3.9 above its start. Layers before such heads begin with He's
  initializer: what moves them is then small beside what they give.
  Masked heads see half of their features on average, and it counts as up to 0.6: as 3 %
  of the units of an event, for few of them answer to each other at once. With 0.4 on
  two units a MAF of 20 steps had a batch 1e6 above its start, at r = 5e-3.
- `hidden`, 32: layers before those. Their inputs are rectified, so all positive: a step
  moves the features of all units at once by g r times a mean of about 0.4, and away
  from the centre that the head has taken. At r = 5e-3 that is 0.06 of their deviation;
  a plain layer of 512 units moves them by a whole one. `MLP`, `MADE` and `ConvResNet`
  therefore see these inputs from a centre as well (`centred`); GlowNet has an act norm.
  Even so an event of two units asks for 32: with 64 a RealNVP of 32 steps on moons had
  a batch 504 above its start at r = 5e-3, with 128 a MAF of 20 steps one 1e5 above.
  Gated layers give both signs, what moves them adds up less, and they go as `far` as
  heads, 128; with plain ones a WaveNet of 256 filters on ar_process had a batch 397
  above its start.
- `bounded`, 512: those of `ConvResNet`, which limits how large its features are: what
  heads see changes in direction, hardly in size. At 64 filters it is about as far as
  plain layers go. Where features could grow, a RealNVP of 256 filters was lost on the
  grey levels of MNIST in its second epoch, at r = 5e-3.
- `matrix`, 4: matrices that multiply the event itself, as 1x1 convolutions do.
- `scale`, n / 2 up to 32, on n units: the one scale of a flow whose other parts keep
  the volume. The more units, the more they say of each other, and the further each
  scale has to go; other flows have one in every step. NICE's with 1 was still 44 nats
  above a Gaussian, on digits, after 180 steps of r = 1e-3.

Steps of a flow follow each other, and what they do to an event multiplies. Beyond d =
24 steps, 8 for heads on vectors, which all move the same few units, each of them takes
a `share` of all its changes (matrices, act norms, heads and their biases), so that a
deep flow moves as one of d steps would: d / depth for the sum of the changes, and (d /
depth)^(4/3) since each network also answers to what those before it have changed. With
d / depth a Glow of 64 steps on the grey levels of MNIST was lost at r = 5e-3 in one
seed of two.

Log-scales that add up share their change too: a mixture of logistics and the affine map
behind it take half each (`scalar_maps.MixtureLogistic`). At r = 5e-3 a Glow of such
couplings was lost in its third step in one seed of three, and ended 3 nats worse. On
vectors heads of `flow_pp` count a coupling as 1.5 steps: means and weights move too.

The constants are large for flows to learn soon and small for no step to overshoot at
r = 5e-3; `python -m benchmarks.stability` shows both ends.
"""

_HEAD, _HEAD_OF_BOUNDED = 128.0, 32.0
_HIDDEN, _FAR, _BOUNDED = 32.0, 128.0, 512.0
_MATRIX = 4.0
_SCALE = 32.0
_DEPTH, _DEPTH_ON_VECTORS = 24.0, 8.0
_SPREAD, _MASKED_SPREAD, _OF_A_MASKED_UNIT = 0.16, 0.6, 0.03
_USUAL_SPREAD, _LOWEST_SPREAD = 0.6, 0.03
_ROUNDING = 1e-5  # of features that do not vary


def head(
    fan_in: int,
    num_summed: int = 1,
    on_vectors: bool = False,
    spread: float | None = None,
    num_masked: int = 0,
    bounded: bool = False,
) -> float:
    """Returns the gain of a last layer.

    Args:
      fan_in: n, inputs of one unit, over all positions of a kernel.
      num_summed: k, layers whose sum the inputs are.
      on_vectors: whether features are vectors, one for an event; else it has positions.
      spread: of vectors, the mean of the features' standard deviations on the data,
        0.03 at least; None, or none at all, for 0.6 sqrt(k), about what an `MLP` has.
      num_masked: of a masked layer, units of an event.
      bounded: whether the inputs are of layers with the gain of that name.

    Examples:
      >>> head(8), head(1024), head(1024, num_summed=4)
      (1.0, 0.125, 0.0625)
      >>> head(64, on_vectors=True, spread=0.32)
      0.5
      >>> head(64, on_vectors=True, spread=0.32, num_masked=784)
      1.875
    """
    most = _HEAD_OF_BOUNDED if bounded else _HEAD
    if not on_vectors:
        return min(1.0, most / (fan_in * num_summed**0.5))
    if spread is None or not spread > _ROUNDING:  # or are they no numbers
        spread = _USUAL_SPREAD * num_summed**0.5
    counted = max(_SPREAD, min(_MASKED_SPREAD, _OF_A_MASKED_UNIT * num_masked))
    return min(1.0, most / fan_in) * counted / max(spread, _LOWEST_SPREAD)


def hidden(fan_in: int, far: bool = False) -> float:
    """Returns the gain of a layer between others.

    Args:
      fan_in: n, inputs of one unit, over all positions of a kernel.
      far: whether it is of a network whose layers may go further, see above.

    Examples:
      >>> hidden(512), hidden(512, far=True)
      (0.0625, 0.25)
    """
    return min(1.0, (_FAR if far else _HIDDEN) / fan_in)


def bounded(fan_in: int) -> float:
    """Returns the gain of a layer between others whose features cannot grow.

    Args:
      fan_in: n, inputs of one unit, over all positions of a kernel.

    Examples:
      >>> bounded(64), bounded(2048)
      (1.0, 0.25)
    """
    return min(1.0, _BOUNDED / fan_in)


def matrix(size: int) -> float:
    """Returns the gain of a matrix on the channels of an event.

    Args:
      size: number of channels.

    Examples:
      >>> matrix(2), matrix(16)
      (1.0, 0.25)
    """
    return min(1.0, _MATRIX / size)


def scale(size: int, depth: int = 1) -> float:
    """Returns the gain of scales that alone change the volume.

    Args:
      size: units of an event.
      depth: such scales that an event passes through.

    Examples:
      >>> scale(2), scale(64), scale(64, depth=16)
      (1.0, 32.0, 2.0)
    """
    return min(max(1.0, size / 2), _SCALE) / depth


def share(depth: int, on_vectors: bool = False) -> float:
    """Returns what one step of a deep flow takes of the change of all.

    Args:
      depth: steps of the flow that an event passes through.
      on_vectors: whether it is for a head whose features are vectors.

    Examples:
      >>> share(24), round(share(96), 3), round(share(20, on_vectors=True), 3)
      (1.0, 0.157, 0.295)
    """
    most = _DEPTH_ON_VECTORS if on_vectors else _DEPTH
    return min(1.0, (most / depth) ** (4 / 3))
