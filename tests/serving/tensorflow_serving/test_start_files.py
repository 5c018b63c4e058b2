"""The files that start TensorFlow Serving: the real protos read them, and they agree with each other."""

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

FOLDER = Path(__file__).parents[3] / "serving" / "tensorflow_serving"
GRPC, REST = 8500, 8501
TYPES = descriptor_pb2.FieldDescriptorProto


@pytest.fixture(scope="module")
def models():
    return text_format.Parse((FOLDER / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())


@pytest.fixture(scope="module")
def messages():
    """The two messages that tensorflow-serving-api does not bring, with the fields that its documentation names."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="start_files.proto", package="start_files", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=TYPES.TYPE_BOOL, label=TYPES.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=TYPES.TYPE_STRING, label=TYPES.LABEL_OPTIONAL)
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(name="prometheus_config", number=1, type=TYPES.TYPE_MESSAGE, label=TYPES.LABEL_OPTIONAL,
                         type_name=".start_files.PrometheusConfig")  # fmt: skip
    batching = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"), 1
    ):
        batching.field.add(name=name, number=number, type=TYPES.TYPE_MESSAGE, label=TYPES.LABEL_OPTIONAL,
                           type_name=".google.protobuf.Int64Value")  # fmt: skip
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"start_files.{name}"))
        for name in ("MonitoringConfig", "BatchingParameters")
    }


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def kubernetes():
    documents = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def container(kubernetes):
    (only,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def files_named(arguments):
    return {path for argument in arguments for path in re.findall(r"=(/config/.*)", argument)}


def test_models_and_their_version_policy(models):
    (config,) = models.model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == ("ranker", "/models/ranker", "tensorflow")
    assert config.model_version_policy.latest.num_versions == 1


def test_the_other_policy_in_the_comments_is_valid_too():
    comment = re.search(r"# {3}model_version_policy.*?(?=\n  })", (FOLDER / "models.config").read_text(), re.DOTALL)
    config = text_format.Parse(re.sub(r"(?m)^\s*#", "", comment.group()), model_server_config_pb2.ModelConfig())
    assert set(config.version_labels.values()) == set(config.model_version_policy.specific.versions)


def test_monitoring_and_batching(messages, kubernetes):
    monitoring = text_format.Parse((FOLDER / "monitoring.config").read_text(), messages["MonitoringConfig"]())
    batching = text_format.Parse((FOLDER / "batching_parameters.txt").read_text(), messages["BatchingParameters"]())
    assert monitoring.prometheus_config.enable
    assert batching.max_batch_size.value > 1 and batching.batch_timeout_micros.value <= 5000
    annotations = kubernetes["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == monitoring.prometheus_config.path
    assert annotations["prometheus.io/port"] == str(REST)


def test_one_image_that_fits_the_protos(compose, kubernetes):
    images = {service["image"] for service in compose.values()} | {container(kubernetes)["image"]}
    assert images == {f"tensorflow/serving:{version('tensorflow-serving-api')}"}


def test_compose_ports_and_files(compose, models):
    base = models.model_config_list.config[0].base_path
    taken = []
    for service in compose.values():
        inside = [port.split(":")[-1] for port in service["ports"]]
        assert inside == [str(GRPC), str(REST)]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        taken += [port.split(":")[1] for port in service["ports"]]
        mounts = dict(volume.rsplit(":", 2)[:2][::-1] for volume in service["volumes"])
        assert mounts["/config"] == "./" and mounts[base].startswith("${MODELS:?")
        for path in files_named(service["command"]):
            assert (FOLDER / Path(path).name).is_file(), path
    assert len(set(taken)) == len(taken)


def test_only_the_server_without_candidates_batches(compose, kubernetes):
    plain, batching = compose["ranker"]["command"], compose["ranker-batching"]["command"]
    assert not any("batching" in argument for argument in plain + container(kubernetes)["args"])
    assert {"--enable_batching", "--enable_model_warmup=false"} <= set(batching)
    assert compose["ranker-batching"]["profiles"] == ["batching"]


def test_kubernetes_is_of_one_piece(kubernetes, models):
    deployment, service, pod = kubernetes["Deployment"], kubernetes["Service"], container(kubernetes)
    config = models.model_config_list.config[0]
    template = deployment["spec"]["template"]
    assert (
        template["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    )
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    assert ports == {"grpc": GRPC, "rest": REST}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports
    assert pod["readinessProbe"]["httpGet"] == {"path": f"/v1/models/{config.name}/metadata", "port": "rest"}
    assert {pod[probe]["tcpSocket"]["port"] for probe in ("startupProbe", "livenessProbe")} == {"grpc"}
    assert {"requests", "limits"} == set(pod["resources"])
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["volumeMounts"]}
    assert mounts == {"models": config.base_path, "config": "/config"}
    assert {volume["name"] for volume in template["spec"]["volumes"]} == set(mounts)
    text = (FOLDER / "kubernetes.yaml").read_text()
    for path in files_named(pod["args"]):
        assert f"--from-file={Path(path).name}" in text and (FOLDER / Path(path).name).is_file()


@pytest.mark.parametrize(("state", "healthy"), [("AVAILABLE", True), ("LOADING", False), (None, False)])
def test_the_health_check(compose, models, state, healthy):
    name = models.model_config_list.config[0].name

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == f"/v1/models/{name}" and state
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(f'{{"model_version_status": [{{"state": "{state}"}}]}}'.encode() if found else b"{}")

        def log_message(self, *arguments):
            pass

    command = compose["ranker"]["healthcheck"]["test"]
    assert command[:3] == ["CMD", "bash", "-c"] and str(REST) in command[3] and "$" not in command[3]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        script = command[3].replace(str(REST), str(server.server_port))
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=10)
        server.shutdown()
        thread.join()
    assert (done.returncode == 0) == healthy
