"""Loan books in: mapped, validated, bad rows kept aside with their reason and remedy."""
