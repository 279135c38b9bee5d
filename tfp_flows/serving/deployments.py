"""Where a server runs: files for Docker compose, Kubernetes and KServe."""

import json
import re
import textwrap
from collections.abc import Mapping

_OPTIONS = (
    "--model_config_file=/config/models.config",
    "--model_config_file_poll_wait_seconds=60",
    "--allow_version_labels_for_unavailable_models=true",
    "--monitoring_config_file=/config/monitoring.config",
    "--enable_batching=true",
    "--enable_per_model_batching_parameters=true",
)
_COMPOSE = """\
services:
  {service}:
    image: tensorflow/serving:{server}
    command:
{compose_options}
    ports:
      - "8500:8500"
      - "8501:8501"
    volumes:
      - type: bind
        source: {base}
        target: {target}
        read_only: true
      - type: bind
        source: ./models.config
        target: /config/models.config
        read_only: true
      - type: bind
        source: ./monitoring.config
        target: /config/monitoring.config
        read_only: true
    restart: unless-stopped
"""
_KUBERNETES = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {host}
data:
  models.config: |
{models}
  monitoring.config: |
{monitoring}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {host}
spec:
  replicas: 1
  selector:
    matchLabels:
      app: {host}
  template:
    metadata:
      labels:
        app: {host}
    spec:
      containers:
        - name: serving
          image: tensorflow/serving:{server}
          args:
{kubernetes_options}
          ports:
            - name: grpc
              containerPort: 8500
            - name: rest
              containerPort: 8501
          readinessProbe:
            httpGet:
              path: {status}
              port: rest
          resources:
            requests:
              cpu: "1"
              memory: 2Gi
            limits:
              memory: 4Gi
          securityContext:
            allowPrivilegeEscalation: false
            runAsNonRoot: true
            runAsUser: 1000
            capabilities:
              drop:
                - ALL
          volumeMounts:
            - name: models
              mountPath: /models
              readOnly: true
            - name: config
              mountPath: /config
              readOnly: true
      volumes:
        - name: models
          persistentVolumeClaim:
            claimName: models
            readOnly: true
        - name: config
          configMap:
            name: {host}
---
apiVersion: v1
kind: Service
metadata:
  name: {host}
spec:
  selector:
    app: {host}
  ports:
    - name: grpc
      port: 8500
      targetPort: grpc
    - name: rest
      port: 8501
      targetPort: rest
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
      storageUri: {claim}
      args:
        - --enable_batching=true
        - --enable_per_model_batching_parameters=true
      resources:
        requests:
          cpu: "1"
          memory: 2Gi
        limits:
          memory: 4Gi
"""


def files(
    name: str, base: str, server: str, config: Mapping[str, str]
) -> dict[str, str]:
    """Returns `compose.yaml`, `kubernetes.yaml` and `kserve.yaml`.

    Args:
      name: of the model.
      base: absolute path of its versions on this machine, for compose.
      server: the version of the server's image.
      config: `models.config` and `monitoring.config`, by name.
    """
    parts = {
        "server": server,
        "service": _quoted(name),
        "host": host(name),
        # Compose replaces what begins with a dollar sign.
        "base": _quoted(base.replace("$", "$$")),
        "target": _quoted(f"/models/{name}"),
        "status": _quoted(f"/v1/models/{name}"),
        "claim": _quoted(f"pvc://models/{name}"),
        "models": textwrap.indent(config["models.config"].rstrip(), " " * 4),
        "monitoring": textwrap.indent(config["monitoring.config"].rstrip(), " " * 4),
        "compose_options": _listed(_OPTIONS, 6),
        "kubernetes_options": _listed(_OPTIONS, 12),
    }
    return {
        "compose.yaml": _COMPOSE.format(**parts),
        "kubernetes.yaml": _KUBERNETES.format(**parts),
        "kserve.yaml": _KSERVE.format(**parts),
    }


def host(name: str) -> str:
    """Returns the name of a model's service in a cluster: lower case, from a letter on.

    Examples:
      >>> host("My_digits"), host("2024")
      ('my-digits', 'model-2024')
    """
    label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    if not label[:1].isalpha():
        label = f"model-{label}"
    return label[:50].strip("-")  # at most 63, and KServe puts more behind it


def _quoted(text):
    """A string of YAML, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def _listed(options, spaces):
    return "\n".join(f"{' ' * spaces}- {option}" for option in options)
