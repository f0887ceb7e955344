"""All functions in one process group, on one PostgreSQL: `make up` and one-container hosts."""
