"""What each command imports: start-up time is a promise, and imports are what it is made of."""
