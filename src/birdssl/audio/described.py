"""Frontends as JSON values and back, so that a saved model carries its own along."""

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from birdssl.errors import IncompatibleError


@dataclass(frozen=True)
class Described:
    """Base of the frontends, whose fields are JSON values and tuples.

    Attributes:
        kind: what tells one frontend from another in JSON; None, that of pictures, isn't written.
        sample_rate: of stored clips, Hz.
        clip_seconds: length of a stored clip.
    """

    kind: ClassVar[str | None] = None
    sample_rate: int
    clip_seconds: float

    @property
    def samples(self) -> int:
        """Samples of a stored clip."""
        return round(self.clip_seconds * self.sample_rate)

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON values, with the kind where there is one."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return plain if self.kind is None else {"kind": self.kind, **plain}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`; raises IncompatibleError for another kind, and unknown or missing fields."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name != "kind"
        }
        missing = {"sample_rate", "clip_seconds"} - given.keys()
        unknown = given.keys() - {field.name for field in fields(cls)}
        if missing or unknown or values.get("kind", cls.kind) != cls.kind:
            raise IncompatibleError(
                f"this frontend of kind {values.get('kind') or 'picture'!r} lacks {sorted(missing)} and has unknown "
                f"{sorted(unknown)}; expected kind {cls.kind or 'picture'!r} of this version of birdssl"
            )
        return cls(**given)
