"""How often a function is called, by which its pods and their size are chosen."""

from typing import Literal

Scale = Literal["alone", "seldom", "sometimes", "often"]
"""`often` is with nearly everything a user does or that happens to a task, `sometimes` is now and
then, `seldom` is what administrators do; `alone` is work that more pods would only get in each
other's way at. How many pods each comes to stands in `taskflow.manifests.deployments`."""
