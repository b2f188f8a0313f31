"""Reaching out to a borrower: the gate asks the rulebook at that second, under a lock, and no channel goes round it."""
