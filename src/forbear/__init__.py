"""Forbear: the life of an overdue consumer loan, each step lawful, fair, effective and provable."""

__version__ = "0.1.0"
