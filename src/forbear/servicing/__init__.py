"""Servicing: payments, fees, waivers, reversals and write-offs of a loan, posted through the ledger to the journal."""
