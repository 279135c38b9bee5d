"""Prints what a server needs besides the models: its configuration, and where it runs.

    python -m tfp_flows.serving.config --base=served/digits --label=canary=3

Files, each after a line with its name: `models.config` (versions and labels),
`monitoring.config` (Prometheus), `batching.config` (for a server that reads one file
for all models), `compose.yaml` (Docker) and `kserve.yaml` (Kubernetes). With
`--output=DIRECTORY` they are written there. Without `--label` the labels are those of
`python -m tfp_flows.serving.versions label`; without any the newest version is served.

Exit status: 2 and one line for a base without versions, or a label without a version.
"""

import argparse
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

from tfp_flows.serving import card_check, labels, publishing

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
{policy}{labels}  }}
}}
"""
_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""
_COMPOSE = """\
services:
  {name}:
    image: tensorflow/serving:{server}
    command:
      - --model_config_file=/config/models.config
      - --model_config_file_poll_wait_seconds=60
      - --allow_version_labels_for_unavailable_models=true
      - --monitoring_config_file=/config/monitoring.config
      - --enable_batching=true
      - --enable_per_model_batching_parameters=true
    ports:
      - "8500:8500"
      - "8501:8501"
    volumes:
      - {base}:/models/{name}:ro
      - ./models.config:/config/models.config:ro
      - ./monitoring.config:/config/monitoring.config:ro
    restart: unless-stopped
"""
_KSERVE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {host}
spec:
  predictor:
    minReplicas: 1
    model:
      modelFormat:
        name: tensorflow
      runtimeVersion: "{server}"
      storageUri: pvc://models/{name}
      resources:
        requests:
          cpu: "1"
          memory: 2Gi
        limits:
          memory: 4Gi
"""


def files(base: pathlib.Path, labelled: Mapping[str, int]) -> dict[str, str]:
    """Returns the files by name.

    Args:
      base: directory of a model's versions; its name is the model's.
      labelled: label to version.

    Raises:
      ValueError: if there is no version, or a label has none.
    """
    there = publishing.versions(base) if base.is_dir() else []
    if not there:
        raise ValueError(f"{str(base)!r} holds no version. Export a flow there first.")
    for label, version in labelled.items():
        if version not in there:
            raise ValueError(
                f"Label {label!r} is to be version {version}, but there are "
                f"{', '.join(map(str, there))}."
            )
    newest = base / str(there[-1])
    name = base.resolve().name
    parts = {
        "name": name,
        "base": base.resolve(),
        "host": re.sub("[^a-z0-9-]+", "-", name.lower()).strip("-"),
        "server": card_check.read(newest)["library_versions"]["tensorflow"],
        "policy": _policy(labelled),
        "labels": _labels(labelled),
    }
    return {
        "models.config": _MODELS.format(**parts),
        "monitoring.config": _MONITORING,
        "batching.config": (newest / "batching_params.pbtxt").read_text(),
        "compose.yaml": _COMPOSE.format(**parts),
        "kserve.yaml": _KSERVE.format(**parts),
    }


def _policy(labelled):
    if not labelled:
        return "    model_version_policy { latest { num_versions: 1 } }\n"
    numbers = " ".join(f"versions: {v}" for v in sorted(set(labelled.values())))
    return f"    model_version_policy {{ specific {{ {numbers} }} }}\n"


def _labels(labelled):
    return "".join(
        f'    version_labels {{ key: "{label}" value: {version} }}\n'
        for label, version in sorted(labelled.items())
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints or writes the files; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tfp_flows.serving.config",
        description="Prints the files with which a server serves an exported flow.",
    )
    parser.add_argument("--base", required=True, help="such as served/digits")
    parser.add_argument(
        "--label", action="append", default=[], help="such as canary=3; repeated"
    )
    parser.add_argument("--output", help="directory to write the files to")
    asked = parser.parse_args(arguments)
    base = pathlib.Path(asked.base)
    try:
        labelled = labels.parse(asked.label) or labels.read(base)
        found = files(base, labelled)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for name, text in found.items():
        if asked.output is None:
            print(f"# {name}\n{text}")
            continue
        folder = pathlib.Path(asked.output)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
