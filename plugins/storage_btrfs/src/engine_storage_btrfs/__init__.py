"""Snapshots as subvolumes of btrfs."""
