"""Snapshots as layers of the kernel's overlay file system."""
