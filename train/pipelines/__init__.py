"""Data of a job: raw events in batches, no mathematics."""

from train.pipelines.splits import Splits, load

__all__ = ["Splits", "load"]
