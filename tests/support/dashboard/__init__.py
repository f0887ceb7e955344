"""Who uses the dashboard in the tests."""
