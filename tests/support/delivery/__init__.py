"""Deliveries of events: to the functions in this process, and by deliverers to a script."""
