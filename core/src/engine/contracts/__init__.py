"""The typed interfaces that drivers fulfil. `engine.hookspecs` says how a plugin provides one."""
