"""The cgroup driver ``cgroupfs``: it writes the cgroup file systems, v1, hybrid and v2. Start with `driver`."""
