"""Draws loan books of any size from a documented process: for scale only, labelled synthetic everywhere."""
