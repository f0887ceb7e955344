"""Clients of the functions in this process, and what every one of their answers must be."""
