"""The pages: today the console of the staff."""
