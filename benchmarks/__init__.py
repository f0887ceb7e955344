"""What is measured, one module each; nothing is asserted against time."""
