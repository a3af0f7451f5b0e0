"""The report as a person meets it, in headless Chromium: points are clicked, sound plays, nothing is fetched."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reports import evaluations, evaluations_each, report

from birdssl.evaluation.report_page import SYMBOLS, ClipMap, MapSystem

sync_api = pytest.importorskip("playwright.sync_api")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
DESKTOP, PHONE = {"width": 1200, "height": 1000}, {"width": 390, "height": 844}
MANY = 10_000
FLUID = 50  # ms a frame at most, in the median: 20 frames a second on a machine that draws without a graphics card
STEPS, PATIENCE = 60, 9.0  # of a drag, and seconds for all of them; it was 3 on two cores that did other work

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=BROWSER, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    report(evaluations(folder), folder / "report", baseline="mel statistics")
    return folder / "report" / "report.html"


@pytest.fixture
def opened(browser: Any, made: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, opened; fails for any error in its scripts and anything asked of a network."""
    yield from show(browser, made, getattr(request, "param", DESKTOP))


def show(browser: Any, path: Path, viewport: dict[str, int]) -> Iterator[Any]:
    page = browser.new_page(viewport=viewport, has_touch=viewport is PHONE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    page.goto(path.as_uri())
    page.wait_for_selector("#map[data-ready=yes]")
    page.locator("#map").scroll_into_view_if_needed()
    yield page
    page.close()
    assert faults == []


def place(page: Any, clip: int) -> tuple[float, float]:
    """Where a clip's point lies in the window."""
    x, y = page.evaluate(
        "(clip) => { const map = document.getElementById('map'), box = map.getBoundingClientRect(),"
        " at = map.placeOf(clip); return [box.left + map.clientLeft + at.x, box.top + map.clientTop + at.y]; }", clip,
    )  # fmt: skip
    return x, y


def numbers(page: Any) -> dict[str, Any]:
    return page.evaluate("JSON.parse(document.getElementById('map-data').textContent)")


def ink(page: Any, clip: int) -> int:
    """How much is drawn within ten pixels of a clip's point."""
    return page.evaluate(
        """(clip) => {
            const at = document.getElementById('map').placeOf(clip), scale = window.devicePixelRatio;
            const pen = document.getElementById('map-canvas').getContext('2d');
            const drawn = pen.getImageData((at.x - 10) * scale, (at.y - 10) * scale, 20 * scale, 20 * scale).data;
            return drawn.filter((value) => value < 255).length;
        }""",
        clip,
    )


def lonely(data: dict[str, Any]) -> int:
    """The clip whose point in the first plane is farthest from all others."""
    first = data["systems"][0]
    points = np.stack([first["x"], first["y"]], axis=1)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(len(points), np.inf))
    return int(first["clips"][gaps.min(axis=1).argmax()])


@pytest.mark.parametrize("opened", [DESKTOP, PHONE], indirect=True, ids=["desktop", "phone"])
def test_a_click_on_a_point_shows_its_spectrogram_and_plays_its_sound(opened: Any):
    data = numbers(opened)
    clip = lonely(data)
    press = opened.touchscreen.tap if opened.viewport_size == PHONE else opened.mouse.click
    press(*place(opened, clip))
    opened.wait_for_selector("#clip:not([hidden])")
    assert opened.locator("#clip-title").inner_text() == data["truth"][clip]
    assert data["recording"][clip] in opened.locator("#clip-facts").inner_text()
    opened.wait_for_timeout(700)
    heard = opened.evaluate(
        "(() => { const a = document.getElementById('clip-sound'), p = document.getElementById('clip-picture');"
        " return { seconds: a.duration, at: a.currentTime, error: a.error, width: p.naturalWidth }; })()"
    )
    assert heard["error"] is None
    assert heard["seconds"] == pytest.approx(1.0, abs=0.2)
    assert heard["at"] > 0
    assert heard["width"] == 256
    assert "kHz" in opened.locator("#clip-view").inner_text()


def test_a_clip_of_several_species_is_clicked_on_and_heard(browser: Any, tmp_path: Path):
    """Its label is all of them; points can be coloured by one of them, and by whether the very same were named."""
    report(evaluations_each(tmp_path), tmp_path / "report")
    for page in show(browser, tmp_path / "report" / "report.html", DESKTOP):
        data = numbers(page)
        several = [clip for clip in data["systems"][0]["clips"] if "+" in data["truth"][clip]]
        page.fill("#map-search", data["id"][several[0]])
        page.locator("#map-hits button").first.click()
        assert page.locator("#clip-title").inner_text() == data["truth"][several[0]]
        clip = lonely(data)
        page.mouse.click(*place(page, clip))
        assert page.locator("#clip-title").inner_text() == data["truth"][clip]
        said = data["systems"][0]["predicted"][data["systems"][0]["clips"].index(clip)]
        assert said in page.locator("#clip-facts").inner_text()
        page.wait_for_timeout(700)
        assert page.evaluate("document.getElementById('clip-sound').currentTime") > 0
        assert page.evaluate("document.getElementById('clip-picture').naturalWidth") == 256
        page.select_option("#map-colour", label="with owl")
        assert page.locator("#map-chips .chip span").all_inner_texts() == ["no", "yes"]
        page.select_option("#map-colour", "answer")
        assert page.locator("#map-chips .chip span").all_inner_texts() == ["right", "wrong"]


def test_a_class_that_is_switched_off_leaves_the_map_and_comes_back(opened: Any):
    data = numbers(opened)
    clip = lonely(data)
    chip = opened.locator("#map-chips .chip", has_text=data["truth"][clip])
    before = ink(opened, clip)
    chip.click()
    opened.wait_for_timeout(100)
    assert before > 30
    assert ink(opened, clip) == 0
    assert chip.get_attribute("aria-pressed") == "false"
    opened.mouse.click(*place(opened, clip))
    assert opened.locator("#clip").is_hidden()
    opened.locator("#map-none").click()
    assert opened.locator("#map-chips .chip[aria-pressed=true]").count() == 0
    opened.locator("#map-all").click()
    opened.wait_for_timeout(100)
    assert ink(opened, clip) == before


def test_a_search_finds_a_clip_by_its_recording(opened: Any):
    data = numbers(opened)
    clip = data["systems"][0]["clips"][5]
    same = sum(name == data["recording"][clip] for name in data["recording"])
    opened.locator("#map-search").fill(data["recording"][clip].upper())
    assert opened.locator("#map-found").inner_text() == f"{same} found"
    opened.locator("#map-hits button").first.click()
    assert opened.locator("#clip-title").inner_text() == data["truth"][clip]
    opened.locator("#map-search").fill("no such bird")
    assert opened.locator("#map-found").inner_text() == "no clip found"


def test_another_model_and_another_colour_show_what_they_say(opened: Any):
    data = numbers(opened)
    opened.locator("#map-system").select_option(label="VICReg")
    assert opened.locator("#map-caption").inner_text().startswith("VICReg: t-SNE of")
    opened.locator("#map-colour").select_option("site")
    assert opened.locator("#map-chips .chip span").all_inner_texts() == ["north", "south"]
    opened.locator("#map-colour").select_option("answer")
    second = data["systems"][1]
    right = sum(data["truth"][clip] == said for clip, said in zip(second["clips"], second["predicted"], strict=True))
    assert opened.locator("#map-chips .chip", has_text="right").locator("small").inner_text() == str(right)


def test_a_drag_moves_the_map_and_does_not_choose(opened: Any):
    clip = lonely(numbers(opened))
    x, y = place(opened, clip)
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x - 40, y + 25, steps=5)
    opened.mouse.up()
    opened.wait_for_timeout(50)
    moved = place(opened, clip)
    assert moved == pytest.approx((x - 40, y + 25), abs=12)  # what is under 5 px may be a click
    assert opened.locator("#clip").is_hidden()
    opened.locator("#map-home").click()
    opened.wait_for_timeout(50)
    assert place(opened, clip) == pytest.approx((x, y), abs=0.5)


@pytest.mark.parametrize("opened", [PHONE], indirect=True)
def test_a_phone_shows_the_page_without_scrolling_sideways(opened: Any):
    wide = opened.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    assert opened.locator("#map").bounding_box()["width"] > 0.8 * PHONE["width"]


def test_names_stay_text(opened: Any):
    """A class is called `frog <b>&amp;"x"`."""
    assert opened.locator("#map-chips b, #clip b, #study-table b").count() == 0
    assert opened.locator("#map-chips .chip", has_text='frog <b>&amp;"x"').count() == 1


def test_ten_thousand_points_stay_fluid(browser: Any, made: Path, tmp_path: Path):
    random = np.random.default_rng(0)
    kinds = [f"class {number}" for number in range(15)]
    truth = [kinds[number % 15] for number in range(MANY)]
    spots = random.normal(size=(MANY, 2)) + np.array([(number % 15, number % 4) for number in range(MANY)])
    ids = [f"{number:016x}" for number in range(MANY)]
    plane = ClipMap(
        {"id": ids, "recording": ids, "start": [0.0] * MANY, "truth": truth, "time": [None] * MANY},
        {"species": truth},
        [MapSystem("many", list(range(MANY)), spots[:, 0].tolist(), spots[:, 1].tolist(), truth, [0.5] * MANY, "many")],
        {}, {}, {}, {}, "",
    )  # fmt: skip
    before, rest = made.read_text().split('id="map-data">')
    path = tmp_path / "many.html"
    path.write_text(before + 'id="map-data">' + plane.to_json() + rest[rest.index("</script>") :])
    for page in show(browser, path, DESKTOP):
        x, y = place(page, 0)
        page.evaluate("(() => { window.frames_ = []; let last = performance.now(); const each = () => { const now ="
                      " performance.now(); window.frames_.push(now - last); last = now; requestAnimationFrame(each); };"
                      " requestAnimationFrame(each); })()")  # fmt: skip
        page.mouse.move(x, y)
        page.mouse.down()
        started = time.monotonic()
        for step in range(STEPS):
            page.mouse.move(x + 2 * step, y - step)
        seconds = time.monotonic() - started
        moved = place(page, 0)
        page.mouse.up()
        frames = sorted(page.evaluate("window.frames_"))
        assert moved[0] - x > 80  # it did follow
        assert frames[len(frames) // 2] < FLUID, frames
        assert seconds < PATIENCE


def test_symbols_are_drawn_for_all_names_that_pictures_use():
    from birdssl.evaluation.figures import MARKERS
    from birdssl.evaluation.page import resource

    assert len(SYMBOLS) == len(MARKERS)
    script = resource("map.js")
    assert all(f"{name}:" in script or f'"{name}":' in script for name in SYMBOLS if name != "circle")
