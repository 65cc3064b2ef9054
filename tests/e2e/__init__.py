"""End to end: every flag and command as a user types it, on the machine's own kernel, with real images."""
