"""The workspace itself: its lists are complete, its lock is sound, its wheels hold what they should."""
