"""What is printed for servers, against the schemas that others publish."""

import importlib.resources
import json
import os
import pathlib
import shutil

import jsonschema
import kubernetes_validate
import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.serving.conftest import export
from tests.serving.test_batching import parameters_class
from tfp_flows import flows
from tfp_flows.serving import config, deployments

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("operations")

# A model's name is its directory's; those above it have any name.
NAMES = ("My_digits", "2024", "a.b-c", 'of $HOME, "x": #1/digits')


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    directory = export(flows.gaussian((2,)), tmp_path_factory.mktemp("served") / "m")
    shutil.copytree(directory, directory.with_name("2"))
    return directory.parent


@pytest.fixture(params=NAMES)
def base(request, exported, tmp_path):
    return shutil.copytree(exported, tmp_path / request.param)


def compose_schema():
    """Of the compose specification, as check-jsonschema carries it."""
    package = importlib.resources.files("check_jsonschema")
    path = package / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(path.read_text(encoding="utf-8"))


def valid(schema, document):
    """Whether a document fits; judged in the schema's own dialect."""
    validator = jsonschema.validators.validator_for(schema)
    return not list(validator(schema).iter_errors(document))


def test_compose_is_what_the_specification_allows(base):
    schema = compose_schema()
    document = yaml.safe_load(config.files(base, {})["compose.yaml"])
    assert valid(schema, document)
    (service,) = document["services"].values()
    for wrong in ({"volumes": [{"type": "bind", "read": True}]}, {"imagee": "x"}):
        assert not valid(schema, {"services": {"digits": service | wrong}})


def test_compose_mounts_what_the_options_name(base):
    document = yaml.safe_load(config.files(base, {})["compose.yaml"])
    service = document["services"][base.name]
    mounted = {v["target"]: v["source"].replace("$$", "$") for v in service["volumes"]}
    assert mounted[f"/models/{base.name}"] == str(base.resolve())
    for option in service["command"]:
        name, _, value = option.lstrip("-").partition("=")
        assert not name.endswith("_file") or value in mounted
    card = json.loads((base / "2" / "assets.extra" / "flow_card.json").read_text())
    server = card["library_versions"]["tensorflow"]
    assert service["image"] == f"tensorflow/serving:{server}"


def test_kubernetes_takes_every_document(base):
    text = config.files(base, {})["kubernetes.yaml"]
    kinds = {}
    for document in yaml.safe_load_all(text):
        kinds[document["kind"]] = document
        for version in ("1.28", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(document, version, strict=True)
    assert set(kinds) == {"ConfigMap", "Deployment", "Service"}
    pod = kinds["Deployment"]["spec"]["template"]
    assert kinds["Service"]["spec"]["selector"] == pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in kinds["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    found = config.files(base, {})
    for option in container["args"]:
        if "_file=" in option:
            folder, name = os.path.split(option.partition("=")[2])
            assert folder in mounted
            assert kinds["ConfigMap"]["data"][name].strip() == found[name].strip()
    del container["image"], container["name"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(kinds["Deployment"], "1.28", strict=True)


# What KServe 0.20 knows of it, see serving.kserve.io_inferenceservices.yaml there.
_TEXT, _TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
_QUANTITIES = {"type": "object", "additionalProperties": _TEXT}


def _object(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_KSERVE = _object(
    apiVersion={"const": "serving.kserve.io/v1beta1"},
    kind={"const": "InferenceService"},
    # The pattern is that of its validating webhook.
    metadata=_object(name={"pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}),
    spec=_object(
        predictor=_object(
            minReplicas={"type": "integer"},
            model=_object(
                modelFormat=_object(name=_TEXT),
                runtimeVersion=_TEXT,
                storageUri=_TEXT,
                args=_TEXTS,
                resources=_object(requests=_QUANTITIES, limits=_QUANTITIES),
            ),
        )
    ),
)


def test_kserve_gets_what_it_knows(base):
    document = yaml.safe_load(config.files(base, {})["kserve.yaml"])
    assert valid(_KSERVE, document)
    model = document["spec"]["predictor"]["model"]
    assert model["storageUri"] == f"pvc://models/{base.name}"
    assert not valid(_KSERVE, document | {"metadata": {"name": "My_digits"}})


def test_kserve_fits_the_published_definition(base):
    """With `KSERVE_CRD` the path of that file of KServe's repository."""
    path = os.environ.get("KSERVE_CRD")
    if path is None:
        pytest.skip("no KSERVE_CRD: two megabytes that no package carries")
    definition = yaml.load(pathlib.Path(path).read_text(), yaml.CSafeLoader)
    versions = {v["name"]: v for v in definition["spec"]["versions"]}
    schema = _strict(versions["v1beta1"]["schema"]["openAPIV3Schema"])
    document = yaml.safe_load(config.files(base, {})["kserve.yaml"])
    metadata = schema["properties"]["metadata"]
    metadata.pop("additionalProperties", None)  # which Kubernetes itself describes
    assert valid(schema, document)
    document["spec"]["predictor"]["model"]["storageUrl"] = "x"
    assert not valid(schema, document)


def _strict(schema):
    """Refuses what has no place in a definition: Kubernetes would drop it."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _strict(part) for key, part in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict):
        schema.setdefault("additionalProperties", False)
    return schema


def monitoring_class():
    """MonitoringConfig of tensorflow_serving/config/monitoring_config.proto."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="monitoring", syntax="proto3")
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, label=1, type=kinds.TYPE_BOOL)
    prometheus.field.add(name="path", number=2, label=1, type=kinds.TYPE_STRING)
    field = file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config", number=1, label=1, type=kinds.TYPE_MESSAGE
    )
    field.type_name = ".PrometheusConfig"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("MonitoringConfig")
    )


def test_configurations_are_what_a_server_reads(base):
    for labelled in ({}, {"canary": 2, "stable": 1}):
        found = config.files(base, labelled)
        whole = model_server_config_pb2.ModelServerConfig()
        text_format.Parse(found["models.config"], whole)
        (model,) = whole.model_config_list.config
        assert (model.name, model.base_path) == (base.name, f"/models/{base.name}")
        assert model.model_platform == "tensorflow"
        assert dict(model.version_labels) == labelled
        policy = model.model_version_policy
        if labelled:
            assert list(policy.specific.versions) == [1, 2]
        else:
            assert policy.latest.num_versions == 1
    monitoring = text_format.Parse(found["monitoring.config"], monitoring_class()())
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"
    batching = text_format.Parse(found["batching.config"], parameters_class()())
    assert batching.max_batch_size.value == batching.allowed_batch_sizes[-1] == 32


@pytest.mark.parametrize("name", ["my digits", 'a"b', "a:b", "größe", ".hidden", "$x"])
def test_names_that_are_no_models_are_refused(exported, tmp_path, name):
    base = shutil.copytree(exported, tmp_path / name)
    with pytest.raises(ValueError, match="Rename the directory"):
        config.files(base, {})


@pytest.mark.parametrize("name", ["a" * 200, "9lives", "x_-", "...", "_", "A--b__C"])
def test_hosts_are_dns_labels(name):
    (pattern,) = _KSERVE["properties"]["metadata"]["properties"]["name"].values()
    host = deployments.host(name)
    assert len(host) <= 50 and valid({"pattern": pattern}, host)
