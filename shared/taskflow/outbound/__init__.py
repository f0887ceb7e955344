"""What reaches people who are not looking at TaskFlow: mail, push messages and webhooks.

Each provider is a module here. It neither knows the database nor tries again: it sends once, and
says what came of it (`outcomes.py`).
"""
