"""What events must say, old and new, and that they explain every change."""
