"""The exported model of a run, once for the same weights and scores."""

import hashlib
import json
import pathlib
import shutil
from typing import Any

from tfp_flows import serving
from tfp_flows.distributions import Model
from train import files


def publish(
    flow: Model, splits: Any, report: dict, config: Any, workdir: pathlib.Path
) -> pathlib.Path:
    """Exports the flow with its saved report on the card.

    A run that was stopped between its export and its end finds it there.

    Args:
      flow: trained.
      splits: of the data.
      report: as saved.
      config: of the job.
      workdir: of the run; its `export/` holds the versions.

    Returns:
      The version's directory.
    """
    base = workdir / "export"
    for left in base.glob(".tmp-*"):  # by a process that was killed
        shutil.rmtree(left)
    fingerprint = _fingerprint(flow, report)
    for path in base.glob("*/assets.extra/flow_card.json"):
        if json.loads(path.read_text()).get("fingerprint") == fingerprint:
            return path.parents[1]
    card = {
        "report": report,
        "data": _data_facts(config.data),
        "fingerprint": fingerprint,
    }
    examples, contexts = splits.test.head(8)
    with files.full_disk_as_oserror(base):
        return serving.export(
            flow,
            base,
            examples=examples,
            contexts=contexts,
            card=card,
        )


def _fingerprint(flow, report):
    """Says whether weights and scores are the same; times are not."""
    digest = hashlib.sha256()
    for variable in flow.raw_variables:
        digest.update(variable.numpy().tobytes())
    scores = [
        {name: value for name, value in score.items() if not name.endswith("_seconds")}
        for score in report["scores"]
    ]
    told = {k: v for k, v in report.items() if k != "diagnosis"}  # in rounded words
    digest.update(json.dumps({**told, "scores": scores}, sort_keys=True).encode())
    return digest.hexdigest()


def _data_facts(config):
    facts = {"name": config.name}
    if config.binarize:
        facts |= {"binarize": config.binarize, "seed": config.seed}
    return facts
