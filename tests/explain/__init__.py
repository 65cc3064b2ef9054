"""An engine that explains itself: what it says it would do is what the kernel sees, and why is what was."""
