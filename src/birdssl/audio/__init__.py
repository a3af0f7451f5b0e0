"""Sound as numbers: decode, resample, augment, spectrogram; recorder names and metadata; synthesis of recordings."""
