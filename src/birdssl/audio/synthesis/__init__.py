"""Field recordings made from nothing: vocalisers, distance, site backgrounds, recorders, and the truth about them.

Everything here is a pure function of its arguments and of the generator that it's handed.
"""
