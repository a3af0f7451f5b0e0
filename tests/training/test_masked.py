"""Masked modelling: its loss by hand, what fits it, and that it learns what is hidden from what is around it."""

TRAINED, HELD_OUT, EPOCHS, BATCH = 320, 100, 25, 32
