"""What a task, an account and an event are and which changes they allow, without any I/O."""
