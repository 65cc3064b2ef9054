"""Every action that the native runtime's plans hold: importing this module registers them, before a plan is decoded."""

from __future__ import annotations

from engine.actions import mounts, namespaces
from engine_runtime_native.stage import cgroups, devices, identity, process, streams, sysctls

CORE = (
    mounts.OpenBind, mounts.OpenFilesystem, mounts.AttachMount, mounts.MountFilesystem, mounts.MaskPaths,
    mounts.ReadOnlyPaths, mounts.RootReadOnly, mounts.MakeDirectory, namespaces.SetHostname, namespaces.SetDomainname,
    namespaces.LoopbackUp, namespaces.WriteIdMaps, namespaces.SetTimeOffsets,
)  # fmt: skip
"""Those of the core, which other plugins' plans hold as well."""
OWN = (
    cgroups.MountCgroups, devices.MakeDevices, devices.LinkDevices, sysctls.WriteSysctl, streams.OpenTerminal,
    streams.TakeStreams, process.SetOomScore, process.ChangeDirectory, process.SetRlimits, process.NewKeyring,
    process.NoNewPrivileges, process.LimitCapabilities, process.SetCapabilities, process.LoadSeccomp,
    process.FreshProcess, identity.BecomeUser,
)  # fmt: skip
"""Those of this runtime."""
