"""A borrower's own loan, checked without any lender and without a database: its cost, the ceilings, what is above."""
