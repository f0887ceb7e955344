"""What is deployed to the cluster that KUBECONFIG names, for all tests here."""

import pytest

from tests.support.kubernetes.deployed import Deployed
from tests.support.network.remote_api import a_new_user, signed_in
from tests.support.network.remote_audit import RemoteAudit


@pytest.fixture(scope="session")
def deployed() -> Deployed:
    """Return what is deployed, once its gateway answers."""
    found = Deployed()
    a_new_user(found)
    return found


@pytest.fixture(scope="session")
def audit(deployed: Deployed) -> RemoteAudit:
    """Open an account, make it an administrator's as an operator does, and ask as it."""
    opened = a_new_user(deployed)
    deployed.taskflow("admin", "grant", opened.email)
    return RemoteAudit(deployed, signed_in(deployed, "login", opened.email))
