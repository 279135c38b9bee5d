"""Prints what a server needs besides the models: its configuration, and where it runs.

    python -m tfp_flows.serving.config --base=served/digits --label=canary=3

Files, each after a line with its name: `models.config` (versions and labels),
`monitoring.config` (Prometheus), `batching.config` (for a server that reads one file
for all models), `compose.yaml` (Docker), `kubernetes.yaml` and `kserve.yaml`. With
`--output=DIRECTORY` they are written there. Without `--label` the labels are those of
`python -m tfp_flows.serving.versions label`; without any the newest version is served.

Exit status: 2 and one line for a base without versions, or a label without a version.
"""

import argparse
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

from tfp_flows.serving import (
    batching_file,
    card_check,
    deployments,
    labels,
    publishing,
)

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
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9]+[.][0-9]+[A-Za-z0-9.-]*")


def files(base: pathlib.Path, labelled: Mapping[str, int]) -> dict[str, str]:
    """Returns the files by name.

    Args:
      base: directory of a model's versions; its name is the model's.
      labelled: label to version.

    Raises:
      ValueError: if there is no version, a label has none, or the directory's name can
        be no model's.
    """
    there = publishing.directories(base) if base.is_dir() else []
    if not there:
        raise ValueError(f"{str(base)!r} holds no version. Export a flow there first.")
    for label, version in labelled.items():
        if version not in there:
            raise ValueError(
                f"Label {label!r} is to be version {version}, but there are "
                f"{', '.join(map(str, there))}."
            )
    name = base.resolve().name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"A model is called as its directory, {name!r}, and servers and addresses "
            "take letters, digits, dots, hyphens and underscores. Rename the directory."
        )
    newest = base / str(there[-1])
    server = str(card_check.read(newest)["library_versions"].get("tensorflow"))
    if not _VERSION.fullmatch(server):
        raise ValueError(
            f"The card of version {newest.name} was written with TensorFlow "
            f"{server!r}, which is none. Check the version, or export again."
        )
    policy, names = _policy(labelled), _labels(labelled)
    config = {
        "models.config": _MODELS.format(name=name, policy=policy, labels=names),
        "monitoring.config": _MONITORING,
        "batching.config": (newest / batching_file.FILE_NAME).read_text(),
    }
    return config | deployments.files(name, str(base.resolve()), server, config)


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
        if asked.output is not None:
            _write(pathlib.Path(asked.output), found)
            return 0
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for name, text in found.items():
        print(f"# {name}\n{text}")
    return 0


def _write(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
