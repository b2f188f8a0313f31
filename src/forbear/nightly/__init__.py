"""The night: the book is read, each account gets one decision, all decisions are written at once."""
