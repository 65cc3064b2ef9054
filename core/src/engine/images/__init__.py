"""Images: references, the content store, unpacking, and the library that the commands call.

Everything here runs in the process of the command that the user typed, as root. The page to start with is
`engine.images.library`.
"""
