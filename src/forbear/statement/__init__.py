"""The statement: what an account owes and why, line by line, as page, PDF and text in every language."""
