"""Prints what a server needs besides the models: its configuration, and where it runs.

    python -m tfp_flows.serving.config --base=served/digits --label=canary=3 --label=stable=2

Five files, each after a line with its name: `models.config` (versions and labels),
`monitoring.config` (Prometheus), `batching.config` (for servers that read one file for
all models), `compose.yaml` (Docker) and `kserve.yaml` (Kubernetes). With
`--output=DIRECTORY` they are written there. Exit status 2 for a version that is not
there, or a label without one.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence

from tfp_flows.serving import batching_parameters, card_check
from tfp_flows.serving.version_numbers import versions

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
