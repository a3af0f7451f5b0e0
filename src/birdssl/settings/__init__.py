"""What can be set, once for each verb: flags, variables, TOML keys, provenance and manuals derive from these classes.

Only the standard library and pydantic are imported here, so that `birdssl --help` starts at once.
"""
