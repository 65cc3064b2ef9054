"""Virtual machines in software emulation: Debian's kernel and systemd, with the hierarchy of cgroups that is asked for.

They show what this machine's kernel cannot: limits on cgroup v2, device-mapper, another systemd. Everything in one runs
some ten times slower than here, so only what needs it is run there.
"""
