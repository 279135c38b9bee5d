"""A part of a data set, and how its rows become batches for replicas."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from train.pipelines.sources import Rows, Source, blocks

_AHEAD = 2  # elements that are read at once, and as many that wait


class Share(NamedTuple):
    """Which replicas a process feeds, of all that a batch is dealt out to.

    Attributes:
      first: number of the first one.
      count: how many, one after the other.
      of: number of all replicas of the job.
    """

    first: int = 0
    count: int = 1  # type: ignore[assignment]  # not the method of a tuple
    of: int = 1


class Order(NamedTuple):
    """An epoch: which row comes when, and which images are mirrored.

    Attributes:
      places: of all rows, `[N]`.
      mirrored: bool `[N]`, in the same order.
    """

    places: np.ndarray
    mirrored: np.ndarray


class Part:
    """Events and, for a conditional flow, contexts: train, valid or test.

    Whatever is read is read by row numbers, and no more than is asked for, so that a
    part may be larger than memory.

    Args:
      source: of the rows.
    """

    def __init__(self, source: Source):
        self._source = source
        self._nothing = source.rows(np.arange(0))  # knows shapes and dtypes

    def __len__(self):
        return len(self._source)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return self._nothing.x.shape[1:]

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None."""
        context = self._nothing.context
        return None if context is None else context.shape[1:]

    def rows(self, places: np.ndarray) -> Rows:
        """Returns (x, context) of some rows; context is None without contexts.

        Args:
          places: numbers of the rows, int `[N]`, in any order.
        """
        return self._source.rows(np.asarray(places))

    def head(self, count: int) -> Rows:
        """Returns the first rows, all if there are fewer.

        Args:
          count: how many.
        """
        return self.rows(np.arange(min(count, len(self))))

    def sample(self, count: int, seed: int) -> tuple[Rows, np.ndarray]:
        """Returns rows drawn without replacement, and their numbers, which increase.

        Args:
          count: how many; all if there are fewer.
          seed: of the choice.
        """
        rng = np.random.default_rng(seed)
        places = rng.choice(len(self), min(count, len(self)), replace=False)
        places.sort()
        return self.rows(places), places

    def blocks(self) -> Iterator[Rows]:
        """Yields all rows in stored order, a few MiB at a time."""
        for places in blocks(self._source):
            yield self.rows(places)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of batches of one epoch; the last one may be smaller."""
        return -(-len(self) // batch_size)

    def steps(
        self,
        batch_size: int,
        seed: int,
        first: int,
        last: int,
        flip: bool = False,
        share: Share = Share(),  # noqa: B008
    ) -> tf.data.Dataset:
        """Returns the shuffled batches of the steps first .. last - 1.

        Steps are counted over all epochs: step s is batch s % n of epoch s // n. The
        order in an epoch, and which images are mirrored, are functions of the seed and
        its number alone, so that a run which continues, anywhere, sees what it would
        have seen, and so do replicas, however many they are.

        Args:
          batch_size: examples a batch, over all replicas.
          seed: of the order.
          first: step to begin with.
          last: step to end before.
          flip: whether to mirror half of the images, left to right.
          share: the replicas to feed. Each step has an element for each one, in their
            order, with its part of the batch as `np.array_split` cuts it: all within
            one row of each other, some without any if the batch is small.

        Returns:
          Elements x, or (context, x).
        """
        n = self.steps_per_epoch(batch_size)

        @functools.lru_cache(maxsize=2)  # two: elements on both sides of an epoch's end
        def order(epoch):
            rng = np.random.default_rng((seed, epoch))
            return Order(rng.permutation(len(self)), rng.random(len(self)) < 0.5)

        def read(step, replica):
            epoch, batch = divmod(step, n)
            places, mirrored = order(epoch)
            dealt = _dealt(len(self), batch, batch_size, replica, share.of)
            x, context = self.rows(places[dealt])
            if flip:
                x = np.where(mirrored[dealt, None, None, None], x[:, :, ::-1], x)
            return x, context

        return self._data_set(read, first, last, share)

    def batches(
        self,
        batch_size: int,
        share: Share = Share(),  # noqa: B008
    ) -> tf.data.Dataset:
        """Returns the batches of one pass in stored order, dealt out as in `steps`.

        Args:
          batch_size: examples a batch, over all replicas; the last may be smaller.
          share: the replicas to feed.

        Returns:
          Elements x, or (context, x).
        """

        def read(step, replica):
            dealt = _dealt(len(self), step, batch_size, replica, share.of)
            return self.rows(np.arange(dealt.start, dealt.stop))

        return self._data_set(read, 0, self.steps_per_epoch(batch_size), share)

    def _data_set(self, read: Callable, first: int, last: int, share: Share):
        """Numbers of elements, read one by one: no row is in the graph."""
        nothing = [part for part in self._nothing if part is not None]

        def numbered(i):
            step, replica = divmod(int(i), share.count)
            return [v for v in read(step, share.first + replica) if v is not None]

        def element(i):
            values = tf.numpy_function(numbered, [i], [v.dtype for v in nothing])
            x, *context = (
                tf.ensure_shape(value, (None, *known.shape[1:]))
                for value, known in zip(values, nothing, strict=True)
            )
            return (*context, x) if context else x

        numbers = tf.data.Dataset.range(first * share.count, last * share.count)
        found = numbers.map(element, num_parallel_calls=_AHEAD, deterministic=True)
        return found.prefetch(_AHEAD)


def _dealt(count, batch, batch_size, replica, replicas):
    """Which positions of an epoch are a replica's, in the batch of this number."""
    start = batch * batch_size
    size = min(batch_size, count - start)
    least, larger = divmod(size, replicas)  # the first `larger` get one more
    ends = [start + least * r + min(r, larger) for r in (replica, replica + 1)]
    return slice(*ends)
