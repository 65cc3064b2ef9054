"""What happened to containers and images: the journal of it, and the words for it (`engine.contracts.observer`).

There is no process that everything passes through. Each command and each shim appends what it did to one file
(`engine.events.journal`, lean), and `engine events` reads that file and waits for it to grow (`engine.events.reading`).
"""
