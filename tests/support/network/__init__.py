"""Clients of a running server, and what lies between: proxies, certificates, free ports."""
