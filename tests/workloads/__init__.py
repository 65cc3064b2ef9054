"""What people put into containers: databases, builds, test suites, many at once, one after the other."""
