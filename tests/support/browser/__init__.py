"""A real browser, and what it makes of pages and mails."""
