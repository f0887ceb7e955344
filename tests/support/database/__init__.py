"""The database of a test: its own or a running system's, with what it holds and what it reads."""
