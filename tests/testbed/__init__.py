"""Real things to test with: root filesystems made from Debian's packages, and a systemd booted in namespaces."""
