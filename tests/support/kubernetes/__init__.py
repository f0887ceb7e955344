"""What the tests know of Kubernetes: its own kinds, and those that TaskFlow needs besides."""
