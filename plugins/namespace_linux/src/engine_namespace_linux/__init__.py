"""The Linux namespaces of engine. Start with `engine_namespace_linux.driver`."""
