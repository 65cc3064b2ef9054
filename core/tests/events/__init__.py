"""The journal of events: who writes it at once, who reads it meanwhile, and what a crash may do to it."""
