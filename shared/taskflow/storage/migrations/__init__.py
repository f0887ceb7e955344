"""The migrations, and how they are applied: `migrate` in this package, revisions in `versions`."""
