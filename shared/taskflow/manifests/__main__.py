"""Write the manifests, or check them: `python -m taskflow.manifests [--check] FOLDER`.

The folder is that of `functions/` and `knative/`.
"""

from collections.abc import Mapping
from pathlib import Path

from taskflow import config, generated
from taskflow.config import Settings
from taskflow.manifests import deployments, gateway, outside, sources
from taskflow.manifests.documents import list_of, text_of
from taskflow.server.loading import discover

FUNCTIONS = Path("functions")
GENERATED = Path("knative/base/generated")
TOPIC_REPLACEMENTS = Path("knative/components/values/generated-topics.yaml")
DECLARATIONS = "the declarations in functions/"


def manifests(root: Path) -> Mapping[Path, str]:
    """Return the text of every manifest, by its path below `root`."""
    # Topics and groups by their default names, whatever the environment.
    config.settings.set(Settings(environment="local"))
    functions = discover(root / FUNCTIONS)
    texts = {
        FUNCTIONS / function.name / deployments.FILE: deployments.text(
            function, root / FUNCTIONS / function.name / "main.py"
        )
        for function in functions
    }
    kafka_sources = list(sources.kafka_sources(functions))
    for name, documents in {
        "kafka-sources.yaml": kafka_sources,
        "ping-sources.yaml": sources.ping_sources(functions),
        "http-routes.yaml": gateway.routes(functions),
        "traffic-policies.yaml": gateway.traffic_policies(functions),
        "network-policies.yaml": outside.policies(),
    }.items():
        texts[GENERATED / name] = text_of(documents, source=DECLARATIONS)
    replacements = list(sources.topic_replacements(kafka_sources))
    texts[TOPIC_REPLACEMENTS] = list_of(replacements, source=DECLARATIONS)
    return texts


if __name__ == "__main__":
    generated.main("manifests", __doc__, manifests)
