"""Load on a running system by many clients, honest or hostile, and what came of it."""
