"""What several rooms' tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported; as `birdssl` does
settings.register_profile("birdssl", deadline=None)  # a deadline fails where the machine is busy with something else
settings.load_profile("birdssl")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout; a test that needs it skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real recordings are not at {folder}")
    return folder
