"""Reads compose.yaml, and says what is wrong with it: its services against each other and against their images."""

import pathlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

try:
    import yaml
except ImportError:
    yaml = None

KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "mem_limit", "pids_limit", "ports", "read_only",
    "restart", "security_opt", "volumes",
}


@dataclass
class Service:
    """One service, with what is said of it in full."""

    said: dict
    dockerfile: pathlib.Path
    context: pathlib.Path
    volumes: list  # Pairs of a path beside compose.yaml and one in the container.
    ports: list    # Triples of an address and a port here, and one in the container.

    @property
    def command(self):
        return self.said.get("command")

    @property
    def environment(self):
        return self.said.get("environment", {})

    @property
    def depends_on(self):
        return self.said.get("depends_on", {})

    @property
    def memory_bytes(self):
        return int(self.said["mem_limit"].removesuffix("m")) << 20


def read(path):
    """The services by name, each behind those that it depends on. Raises ValueError."""
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    services = {name: service(said, path.parent) for name, said in document["services"].items()}
    ordered = {}
    while left := [name for name in services if name not in ordered]:
        ready = [name for name in left if not set(services[name].depends_on) & set(left)]
        unknown = {name for one in left for name in services[one].depends_on} - set(services)
        if unknown or not ready:
            raise ValueError(f"depends_on: {', '.join(unknown or left)} is not there, or goes in a circle")
        ordered |= {name: services[name] for name in ready}
    return ordered


def service(said, folder):
    if strange := set(said) - KEYS:
        raise ValueError(f"{', '.join(sorted(strange))}: nothing here checks that")
    context = (folder / said["build"]["context"]).resolve()
    volumes = []
    for volume in said.get("volumes", []):
        source, target, *mode = volume.split(":")
        if mode != ["ro"] or not (folder / source).exists():
            raise ValueError(f"volume {volume}: it is not there, or not read-only")
        volumes.append((source, target))
    ports = [tuple(port.split(":")) for port in said.get("ports", [])]
    return Service(said, context / said["build"]["dockerfile"], context, volumes, ports)


def faults(services, images):
    """What is wrong, as sentences. `images` are the stages by Dockerfile, or None where they could not be read."""
    services = services or {}
    for path in images.keys() - {service.dockerfile for service in services.values()}:
        yield f"no service is built from {path.name}"
    published = [address for service in services.values() for *address, _ in service.ports]
    if len(published) != len({tuple(address) for address in published}):
        yield "two services want the same port"
    for name, one in services.items():
        if not images.get(one.dockerfile):
            yield f"{name}: there is no good {one.dockerfile.name}"
        else:
            yield from (f"{name}: {fault}" for fault in faults_of(one, services, images))


def faults_of(one, services, images):
    exposed = images[one.dockerfile][-1].port()
    for address, here, there in one.ports:
        if address != "127.0.0.1" or int(there) != exposed or here != there:
            yield f"port {here}:{there} is not the image's {exposed} on 127.0.0.1"
    if not one.ports and not any(one in (services[n] for n in s.depends_on) for s in services.values()):
        yield "nobody can reach it"
    for dependency, how in one.depends_on.items():
        if how != {"condition": "service_healthy"}:
            yield f"does not wait for {dependency} to be healthy"
    for variable, value in one.environment.items():
        url = urlsplit(str(value))
        other = services.get(url.hostname)
        if url.scheme and (not other or url.hostname not in one.depends_on):
            yield f"{variable} names {url.hostname}, which it does not depend on"
        elif url.scheme and url.port != images[other.dockerfile][-1].port():
            yield f"{variable} names port {url.port}, where {url.hostname} does not listen"
    hardened = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for key, value in hardened.items():
        if one.said.get(key) != value:
            yield f"{key} is not {value}"
    if not re.fullmatch(r"\d+m", str(one.said.get("mem_limit"))):
        yield "no mem_limit in megabytes"
    if not isinstance(one.said.get("pids_limit"), int):
        yield "no pids_limit"
