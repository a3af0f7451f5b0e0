"""Settings of how scores are doubted and systems are drawn, which `evaluate` and `report` share."""

from typing import ClassVar

from birdssl.settings.base import Settings, setting


class PortraitSettings(Settings):
    """Intervals over recordings, pictures of embeddings, and what embeddings tell of place and time."""

    title: ClassVar[str] = "Intervals and pictures"

    draws: int = setting(2000, "Draws of origins for the intervals.", ge=100, le=1_000_000)
    level: float = setting(0.95, "Level of the intervals.", ge=0.5, le=0.999)
    projection_clips: int = setting(1000, "Most clips in a t-SNE picture; 0 for no picture.", ge=0, le=20_000)
    circumstance_clips: int = setting(
        2000,
        "Most training clips that site, recorder and hour are learned from, to see how well embeddings tell these; 0 "
        "to leave it out.",
        ge=0,
    )
    seed: int = setting(1030, "Decides draws, pictures and the classifiers' inner folds.", ge=0)
