"""The pages that a person reads first."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    lost = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not lost


def test_the_first_page_streams_at_a_rate_that_its_model_takes() -> None:
    """A stream below the rate of the clips that a model learned from is refused, and segment's default is 44.1 kHz."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Five labelled clips a class")[2]
    trained, streamed, recorded = (
        int(re.findall(rf"{flag} (\d+)", section)[0]) for flag in ("--sample-rate", "--stream-rate", "rec -t raw -r")
    )
    assert trained <= streamed == recorded
