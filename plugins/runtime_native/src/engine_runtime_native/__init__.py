"""The native runtime of engine: containers made in pure Python. Start with `engine_runtime_native.driver`."""
