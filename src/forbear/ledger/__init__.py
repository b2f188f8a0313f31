"""What is owed, on a day, out of the schedule and the payments: pure functions, whole minor units."""
