"""Write the manifests, or check them: `python -m taskflow.manifests [--check] FOLDER`.

The folder is that of `functions/` and `knative/`.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from taskflow import config
from taskflow.config import Settings
from taskflow.manifests import deployments, gateway, sources
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
    }.items():
        texts[GENERATED / name] = text_of(documents, source=DECLARATIONS)
    replacements = list(sources.topic_replacements(kafka_sources))
    texts[TOPIC_REPLACEMENTS] = list_of(replacements, source=DECLARATIONS)
    return texts


def main() -> None:
    """Write, or with `--check` end with a sentence where a file is not as it would be written."""
    parser = argparse.ArgumentParser(prog="taskflow.manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    differ = {
        path: text
        for path, text in manifests(given.folder).items()
        if not (given.folder / path).is_file() or (given.folder / path).read_text("utf-8") != text
    }
    if given.check and differ:
        names = ", ".join(map(str, differ))
        sys.exit(f"Not what the declarations say; `make manifests` writes it anew: {names}")
    for path, text in differ.items():
        (given.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (given.folder / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
