"""What tests start from: accounts, tasks, due items, recurrence rules, alone or in bulk."""
