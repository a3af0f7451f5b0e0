"""birdssl: from a folder of unlabelled field recordings to a species classifier.

Each stage is a class in `birdssl.stages`, run by `birdssl.stages.contract.run`; the command line is `birdssl.cli`.
"""

from importlib.metadata import version

__version__ = version("birdssl")
