"""The binding of this deployment: every function reads and answers deliveries by it."""

from taskflow.eventing.bindings import Binding, knative
from taskflow.process import resource


@resource()
def binding() -> Binding:
    """Return the module of the transport that delivers to the functions."""
    return knative
