"""What the tests of messages to the outside share."""
