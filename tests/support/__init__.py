"""What the tests share: a database, accounts, builders, a running system, big assertions."""
