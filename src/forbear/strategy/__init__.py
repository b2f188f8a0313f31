"""What helps most within what is allowed: today the ladder of steps, mildest first."""
