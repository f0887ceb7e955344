"""What is deployed to the cluster that KUBECONFIG names, for all tests here."""

import pytest

from tests.support.kubernetes.deployed import Deployed
from tests.support.network.remote_api import a_new_user


@pytest.fixture(scope="session")
def deployed() -> Deployed:
    """Return what is deployed, once its gateway answers."""
    found = Deployed()
    a_new_user(found)
    return found
