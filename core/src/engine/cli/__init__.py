"""The command line: parse, call the library, print. `engine.cli.main` is where the console script begins."""
