"""The cgroup driver ``systemd``: a transient scope for each container, asked for over D-Bus. Start with `driver`."""
