"""Sound as tensors on a device, in batches: crops, augmentations, and the frontends of encoders that hear sound."""
