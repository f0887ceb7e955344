"""Kubernetes' documents as YAML: what every one of ours has, and how it is laid out."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from taskflow.eventing.frame import Subscriber
from taskflow.serving.endpoint import Endpoint

Document = Mapping[str, Any]

LABELS = {"app.kubernetes.io/part-of": "taskflow"}
COMPONENT = "app.kubernetes.io/component"

WIDTH = 100


class Timestamp(str):
    """A point in time that YAML is to take for one: written without quotes."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as PyYAML calls it
        """Indent lists, as the rest of our YAML does."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002, ANN401 - as above
        """Write out what occurs twice."""
        return True


def _timestamp(_dumper: yaml.SafeDumper, value: Timestamp) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:timestamp", str(value))


_Dumper.add_representer(Timestamp, _timestamp)


def component_of(endpoint: Endpoint | Subscriber) -> str:
    """Return the part of TaskFlow that a function is one of, for the label COMPONENT."""
    if isinstance(endpoint, Subscriber):
        return endpoint.kind
    return "socket" if endpoint.is_socket else "endpoint"


def document(
    api_version: str, kind: str, name: str, spec: Document, *, component: str | None = None
) -> Document:
    """Return an object of Kubernetes; its namespace is the kustomization's to set."""
    labels = LABELS if component is None else {**LABELS, COMPONENT: component}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def text_of(documents: Iterable[Document], *, source: str) -> str:
    """Return a file of YAML, whose first line says from what `source` it is written."""
    return _text(documents, source=source)


def list_of(documents: Iterable[Document], *, source: str) -> str:
    """Return a file of YAML as `text_of` does, of one list."""
    return _text([list(documents)], source=source)


def _text(documents: Iterable[object], *, source: str) -> str:
    head = f"# Written by `make manifests` from {source}.\n"
    return head + yaml.dump_all(
        documents,
        Dumper=_Dumper,
        sort_keys=False,
        # What holds nothing further goes on one line.
        default_flow_style=None,
        width=WIDTH,
        allow_unicode=True,
    )
