"""Whether the manifests beside this file are what a cluster accepts: `check.py [KEDA_MODULES]`.

Kubernetes' own kinds against its schemas, strictly (package kubernetes-validate); the ScaledObject of KEDA against that of its
models (npm package @kubernetes-models/keda, in a folder KEDA_MODULES; skipped without); the MPIJob, whose schema no registry
has, against a list of its fields, with its pods as Kubernetes' own. All pods against Pod Security's "restricted", and their
arguments against the program's own reference. Then every manifest is spoiled in many ways, each of which must be found.
"""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).parent
KUBERNETES = "1.33"
REFERENCE = HERE.parent.parent / "docs/src/reference/cli.md"

# Fields of kubeflow.org/v2beta1, of which these manifests use some.
MPI_JOB = {
    "slotsPerWorker": int,
    "runLauncherAsWorker": bool,
    "runPolicy": dict,
    "mpiReplicaSpecs": dict,
    "sshAuthMountPath": str,
    "launcherCreationPolicy": ["AtStartup", "WaitForWorkersReady"],
    "mpiImplementation": ["OpenMPI", "Intel", "MPICH"],
}
RUN_POLICY = {
    "cleanPodPolicy": ["All", "Running", "None"],
    "ttlSecondsAfterFinished": int,
    "activeDeadlineSeconds": int,
    "backoffLimit": int,
    "suspend": bool,
}
REPLICAS = {"replicas": int, "restartPolicy": ["Never", "OnFailure"], "template": dict}
# Fields of the ScaledObject and of its trigger, whose schema accepts unknown ones.
SCALED_OBJECT = {
    "scaleTargetRef": dict,
    "minReplicaCount": int,
    "maxReplicaCount": int,
    "idleReplicaCount": int,
    "pollingInterval": int,
    "cooldownPeriod": int,
    "fallback": dict,
    "advanced": dict,
    "triggers": list,
}
JETSTREAM = {
    "natsServerMonitoringEndpoint": str,
    "account": str,
    "stream": str,
    "consumer": str,
    "lagThreshold": str,
    "activationLagThreshold": str,
    "useHttps": str,
}


def fields(where, found, known, required=()):
    """Complains of unknown fields, wrong types, and missing ones."""
    for name, value in found.items():
        kind = known.get(name)
        if kind is None:
            yield f"{where}.{name}: unknown field"
        elif isinstance(kind, list):
            if value not in kind:
                yield f"{where}.{name}: {value!r}, expected one of {kind}"
        elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            yield f"{where}.{name}: {value!r}, expected {kind.__name__}"
    for name in required:
        if name not in found:
            yield f"{where}.{name}: missing"


def of_schema(document):
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"no kind {document['kind']} in {document['apiVersion']}"


def scaled_object(document, keda):
    if keda:
        program = """
            import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
            let text = "";
            for await (const part of process.stdin) text += part;
            try { new ScaledObject(JSON.parse(text)).validate(); } catch (error) { console.log(error.message); }
        """
        command = ["node", "--input-type=module", "--eval", program]
        text = json.dumps(document)
        answer = subprocess.run(command, cwd=keda, input=text, capture_output=True, text=True, check=True)
        yield from answer.stdout.splitlines()
    yield from fields("spec", document["spec"], SCALED_OBJECT, ["scaleTargetRef", "triggers"])
    for trigger in document["spec"].get("triggers", []):
        if trigger.get("type") != "nats-jetstream":
            yield f"trigger {trigger.get('type')!r}: expected nats-jetstream"
        needed = ["natsServerMonitoringEndpoint", "account", "stream", "consumer"]
        yield from fields("trigger", trigger.get("metadata", {}), JETSTREAM, needed)


def mpi_job(document):
    spec = document["spec"]
    yield from fields("spec", spec, MPI_JOB, ["mpiReplicaSpecs"])
    yield from fields("runPolicy", spec.get("runPolicy", {}), RUN_POLICY)
    replicas = spec.get("mpiReplicaSpecs", {})
    yield from fields("mpiReplicaSpecs", replicas, {"Launcher": dict, "Worker": dict}, ["Launcher", "Worker"])
    for name, replica in replicas.items():
        yield from fields(name, replica, REPLICAS, ["template"])
        if "template" in replica:
            # A pod template on its own has no schema; the pods of a StatefulSet are the same.
            yield from of_schema({
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": document["metadata"],
                "spec": {"serviceName": "a", "selector": {}, "template": {
                    "metadata": replica["template"].get("metadata", {}), "spec": replica["template"].get("spec", {}),
                }},
            })


def templates(document):
    spec = document.get("spec", {})
    if document["kind"] == "MPIJob":
        return [replica["template"] for replica in spec.get("mpiReplicaSpecs", {}).values() if "template" in replica]
    return [spec["template"]] if "template" in spec else []


def restricted(pod):
    """What Pod Security's "restricted" forbids, and what we ask for beside it."""
    context = pod.get("securityContext", {})
    for name in ["hostNetwork", "hostPID", "hostIPC"]:
        if pod.get(name):
            yield f"{name} is not allowed"
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") in (None, 0):
        yield "securityContext: runAsNonRoot with a user that is not 0"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "securityContext: seccompProfile RuntimeDefault"
    if pod.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken: false"
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= {"persistentVolumeClaim", "emptyDir", "secret", "configMap"}:
            yield f"volume {volume.get('name')}: of a kind that is not allowed"
    mounted = {volume.get("name") for volume in pod.get("volumes", [])}
    for container in pod.get("containers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "container: allowPrivilegeEscalation false, not privileged"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
            yield "container: drop ALL capabilities, add none"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "container: readOnlyRootFilesystem"
        if own.get("runAsNonRoot") is False or own.get("runAsUser") == 0:
            yield "container: runs as root"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            yield "container: requests of cpu and memory, limit of memory"
        if not re.search(r":\d+\.\d+\.\d+$", container.get("image", "")):
            yield f"container: image {container.get('image')!r} without a version"
        for mount in container.get("volumeMounts", []):
            if mount.get("name") not in mounted:
                yield f"container: no volume {mount.get('name')!r}"


def known_flags():
    """The flags of each command, from the reference."""
    flags, command = {}, None
    for line in REFERENCE.read_text().splitlines():
        if found := re.match(r"## `bipvl ?(.*)`", line):
            command = found[1]
        elif found := re.match(r"\* `(?:-\w`, `)?(--[a-z-]+)", line):
            flags.setdefault(command, set()).add(found[1])
    return flags


FLAGS = known_flags()


def arguments(container):
    """Flags of the program that it does not have."""
    words = [str(word) for word in container.get("args", [])]
    if container.get("command"):
        return
    command = words[0] if words else ""
    if command not in FLAGS:
        yield f"args: no command {command!r}"
        return
    for word in words[1:]:
        flag = word.split("=")[0]
        if flag.startswith("--") and flag not in FLAGS[command] | FLAGS[""]:
            yield f"args: `bipvl {command}` has no {flag}"


def documents():
    for path in sorted(HERE.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


CLAIMS = {document["metadata"]["name"] for _, document in documents() if document["kind"] == "PersistentVolumeClaim"}
LABELS = [document["spec"]["template"]["metadata"]["labels"] for _, document in documents()
          if document["kind"] == "Deployment"]


def references(document):
    """Names of other things, which no schema knows."""
    spec = document.get("spec", {})
    if document["kind"] == "Service":
        if not any(spec["selector"].items() <= labels.items() for labels in LABELS):
            yield "selector: of no Deployment"
    elif "selector" in spec and templates(document):
        labels = templates(document)[0]["metadata"]["labels"]
        if not spec["selector"]["matchLabels"].items() <= labels.items():
            yield "selector: of no pod"
    for template in templates(document):
        for volume in template["spec"].get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in CLAIMS:
                yield f"volume: no claim {claim}"
        for container in template["spec"]["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"]:
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if isinstance(port, str) and port not in ports:
                    yield f"{probe}: no port {port}"


def problems(document, keda=None):
    found = []
    try:
        if document["kind"] == "ScaledObject":
            found += scaled_object(document, keda)
        elif document["kind"] == "MPIJob":
            found += mpi_job(document)
        else:
            found += of_schema(document)
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != "bipvl":
            found.append("metadata.namespace: bipvl")
        for template in templates(document):
            pod = template.get("spec", {})
            found += restricted(pod)
            for container in pod.get("containers", []):
                found += arguments(container)
        found += references(document)
        spec = document.get("spec", {})
        if spec.get("completionMode") == "Indexed":
            shards = f"--shard=$(JOB_COMPLETION_INDEX)/{spec.get('completions')}"
            if shards not in templates(document)[0]["spec"]["containers"][0].get("args", []):
                found.append(f"args: {shards}, as there are so many completions")
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        found.append(f"{type(error).__name__}: {error}")
    return found


def spoiled(document):
    """The document with one thing wrong, and what."""
    def changed(what, change):
        other = copy.deepcopy(document)
        change(other)
        return what, other

    yield changed("an unknown kind", lambda other: other.update(kind="Jobs"))
    if "spec" in document:
        yield changed("an unknown field", lambda other: other["spec"].update(replicaz=1))
        yield changed("no spec", lambda other: other.update(spec=3))
    for index in range(len(templates(document))):
        def pod(other, index=index):
            return templates(other)[index]["spec"]

        def container(other, pod=pod):
            return pod(other)["containers"][0]

        yield changed("root", lambda other: pod(other)["securityContext"].update(runAsUser=0))
        yield changed("no seccomp", lambda other: pod(other)["securityContext"].pop("seccompProfile"))
        yield changed("host network", lambda other: pod(other).update(hostNetwork=True))
        yield changed("a folder of the host", lambda other: pod(other)["volumes"].append(
            {"name": "host", "hostPath": {"path": "/"}}))
        yield changed("an unknown volume", lambda other: container(other)["volumeMounts"][0].update(name="other"))
        yield changed("capabilities", lambda other: container(other)["securityContext"]["capabilities"].pop("drop"))
        yield changed("a writable root", lambda other: container(other)["securityContext"].pop("readOnlyRootFilesystem"))
        yield changed("escalation", lambda other: container(other)["securityContext"].update(
            allowPrivilegeEscalation=True))
        yield changed("no limit", lambda other: container(other)["resources"].pop("limits"))
        yield changed("no version", lambda other: container(other).update(image="registry.example/bipvl:latest"))
        yield changed("a number for a list", lambda other: container(other).update(args=3))
        yield changed("an unknown field of a container", lambda other: container(other).update(arg=["a"]))
        yield changed("an unknown claim", lambda other: pod(other)["volumes"][0].update(
            persistentVolumeClaim={"claimName": "other"}))
        if "readinessProbe" in container(document) and "httpGet" in container(document)["readinessProbe"]:
            yield changed("an unknown port", lambda other: container(other)["readinessProbe"]["httpGet"].update(
                port="other"))
        if "command" not in container(document):
            yield changed("an unknown flag", lambda other: container(other)["args"].append("--no-such-flag"))
    if document["kind"] == "Deployment":
        yield changed("labels of others", lambda other: templates(other)[0]["metadata"].update(labels={"a": "b"}))
    if document["kind"] == "Service":
        yield changed("pods of nobody", lambda other: other["spec"].update(selector={"a": "b"}))
    if document["kind"] == "ScaledObject":
        yield changed("a text for a number", lambda other: other["spec"].update(maxReplicaCount="many"))
        yield changed("no target", lambda other: other["spec"].pop("scaleTargetRef"))
        yield changed("no stream", lambda other: other["spec"]["triggers"][0]["metadata"].pop("stream"))
    if document["kind"] == "MPIJob":
        yield changed("no launcher", lambda other: other["spec"]["mpiReplicaSpecs"].pop("Launcher"))
        yield changed("a policy that is none", lambda other: other["spec"]["runPolicy"].update(cleanPodPolicy="Some"))
    if document.get("spec", {}).get("completionMode") == "Indexed":
        yield changed("other shards than completions", lambda other: other["spec"].update(completions=11))


def main():
    keda = sys.argv[1] if len(sys.argv) > 1 else None
    failed = checked = 0
    for path, document in documents():
        name = f"{path.name}: {document['kind']} {document['metadata']['name']}"
        found = problems(document, keda)
        failed += bool(found)
        print(*[f"{name}: {problem}" for problem in found] or [name], sep="\n")
        for what, other in spoiled(document):
            checked += 1
            if not problems(other, keda):
                failed += 1
                print(f"{name}: {what} was not found")
    print(f"{checked} mistakes made on purpose" + ("" if keda else "; KEDA's own schema skipped"))
    sys.exit(bool(failed))


main()
