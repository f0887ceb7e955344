"""The HTTP server: gunicorn on gevent, for one function in a pod and for all of them together."""
