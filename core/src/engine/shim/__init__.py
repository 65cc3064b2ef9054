"""The shim: the small process that keeps one container, as containerd has one.

`engine.shim.main` is its program, `engine.shim.launch` the command's side of it, `engine.shim.protocol` what both say
to each other. Its parts are lean (`tools/module_rules.py`): it stays as long as its container.
"""
