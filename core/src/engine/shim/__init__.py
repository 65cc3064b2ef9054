"""The shim: the small process that keeps one container. Its parts import the standard library, `engine.linux` and
`engine.actions` only; `engine.shim.client` and `engine.shim.launch` are the command's side of it."""
