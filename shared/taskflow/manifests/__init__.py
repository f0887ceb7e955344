"""What Knative is told of the functions, written from their declarations by `make manifests`."""
