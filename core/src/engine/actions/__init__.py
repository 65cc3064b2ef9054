"""Actions: what touches the machine, as values. Start with `engine.actions.base`."""
