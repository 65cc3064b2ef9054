"""Runtimes of engine that drive an OCI runtime's program. Start with `engine_runtime_oci.driver`."""
