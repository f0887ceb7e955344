"""The jars of Apache Kafka: Maven resolves them once, and a cache keeps them between runs."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from taskflow import config
from tests.support.processes.debian_packages import CannotProvide, install, run

POM = Path(__file__).with_name("pom.xml")
JAVA_MIN = 17
DEBIAN_PACKAGES = {"java": "default-jre-headless", "mvn": "maven"}
NEEDED = (
    f"The tests start an Apache Kafka, which needs Java {JAVA_MIN} or newer and, once, Maven:"
    f" install them (on Debian and Ubuntu: apt-get install {' '.join(DEBIAN_PACKAGES.values())}),"
    " or name a running broker: KAFKA_BOOTSTRAP_SERVERS=host:port"
)


def provide() -> Path:
    """Return the folder of the jars; fetch them, and on Debian as root install Java and Maven.

    Raises CannotProvide.
    """
    # What is in the folder is what the pom says, so a changed pom has another one.
    version = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"kafka-{version}"
    missing = [] if _has_java() else ["java"]
    if not folder.exists() and shutil.which("mvn") is None:
        missing.append("mvn")
    if missing:
        packages = [DEBIAN_PACKAGES[program] for program in missing]
        install(packages, purpose="the tests' Apache Kafka", needed=NEEDED)
        if not _has_java():
            raise CannotProvide(NEEDED)
    if not folder.exists():
        _resolve(folder)
    return folder


def cache_folder() -> Path:
    """Return the folder for what the tests fetch once."""
    # The specification of the variable: a path that is not absolute counts as none.
    given = Path(config.environment().get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "taskflow"


def _has_java() -> bool:
    if shutil.which("java") is None:
        return False
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', said.stderr)
    return found is not None and int(found[1]) >= JAVA_MIN


def _resolve(folder: Path) -> None:
    print("Fetching an Apache Kafka for the tests (once; about a minute)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Half of the jars would look like all of them: the folder gets its name when it is whole.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="kafka-new-") as unfinished:
        jars = Path(unfinished) / "jars"
        options = ["--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)]
        goal = "dependency:copy-dependencies"
        run("mvn", *options, goal, f"-DoutputDirectory={jars}", needed=NEEDED)
        try:
            jars.rename(folder)
        except OSError:
            # Another run was there first, with the same.
            if not folder.exists():
                raise


if __name__ == "__main__":
    if not config.environment().get("KAFKA_BOOTSTRAP_SERVERS"):
        try:
            provide()
        except CannotProvide as error:
            raise SystemExit(str(error)) from None
