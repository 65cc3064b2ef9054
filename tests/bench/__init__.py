"""Whole commands of this engine beside those of others: same root filesystem, same machine, alternating."""
