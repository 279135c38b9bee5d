"""Data of a job: raw events in batches, no mathematics."""

from train.pipelines.part import Part, Share
from train.pipelines.sources import Arrays
from train.pipelines.splits import Splits, load

__all__ = ["Arrays", "Part", "Share", "Splits", "load"]
