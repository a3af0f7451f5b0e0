"""Where and when a recording was made, and by what: read from its name and from what the recorder wrote into the file.

What isn't known stays None; nothing is guessed. The sources, best first:

1. GUANO metadata in the file (https://guano-md.org), which Wildlife Acoustics, Titley and newer AudioMoths write;
2. the comment that an AudioMoth writes into the file (`Recorded at 09:32:00 04/05/2018 (UTC+1) by AudioMoth ...`);
3. the file's name.

Names that are understood:

| recorder | name |
|---|---|
| AudioMoth | `20190522_060000.WAV`, `20190522_060000T.WAV` (triggered), `5CE4F2A0.WAV` (seconds since 1970, in UTC) |
| Song Meter SM2, SM4, Mini | `PREFIX_20190522_060000.wav`, `PREFIX_20190522_060000+0100.wav` |
| Song Meter SM3 | `PREFIX_0+1_20190522_060000.wav`, `PREFIX__0__20190522$060000.wav` (`$`: clock set by GPS) |
| Frontier Labs BAR-LT | `20190522T060000+1000_REC.flac`, `20190522T060000Z_REC [-27.38+153.11].wav` |
| SwiftOne | `PREFIX_20190522_060000-0400.wav` |
| others | any name with one `YYYYMMDD?HHMMSS` or `YYYY-MM-DD?HH-MM-SS` in it |
"""

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from guano import GuanoFile

MAX_METADATA = 1 << 20  # bytes; a metadata chunk longer than this is damage, not metadata
UTC_OFFSETS = range(-12 * 60, 14 * 60 + 1)  # minutes; the offsets in use on Earth
AUDIOMOTH_YEARS = range(2015, 2041)  # AudioMoth appeared in 2017; keeps dates such as 20190522 from passing for hex

_STAMP = re.compile(
    r"(?<!\d)(?:(?P<packed>(?:19|20)\d{6})[T_$ -]?(?P<clock>\d{6})"
    r"|(?P<dashed>(?:19|20)\d\d-\d\d-\d\d)[T_ ](?P<spaced>\d\d[-:]\d\d[-:]\d\d))(?!\d)"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2}(?!\d)|[+-]\d{2}(?![\d.]))?"
)
_HEXADECIMAL = re.compile(r"[0-9A-F]{8}")
_SM3_CHANNEL = re.compile(r"(_0\+1|__[01]_?)$")
_SONG_METER_SERIAL = re.compile(r"(?:S4A|S4U|SMA|SMU|2MA|2MM|2MU)\d{5}")
_AUDIOMOTH_COMMENT = re.compile(
    r"Recorded at (?P<clock>\d\d:\d\d:\d\d)(?:\.\d+)? (?P<date>\d\d/\d\d/\d{4})(?: \((?P<zone>UTC[^)]*)\))?"
    r"(?:.*?by (?P<unit>AudioMoth [0-9A-F]{16}))?"
)
_ZONE = re.compile(r"(?:UTC)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")
# Folders that a recorder or a camera makes on its card; they say nothing of the place.
_CARD_FOLDERS = re.compile(r"data|dcim|rec(ordings?)?|audio|wavs?|flac|\d{8}|\d{4}-\d{2}-\d{2}", re.IGNORECASE)


@dataclass(frozen=True)
class Provenance:
    """Where, by what and when a recording was made; None is unknown.

    `time` is the local clock at the first sample, without a zone; `utc_offset` is in minutes east of UTC.
    """

    site: str | None = None
    recorder: str | None = None
    time: datetime | None = None
    utc_offset: int | None = None


def provenance(path: Path, folders: tuple[str, ...] = (), site_from: str = "auto") -> Provenance:
    """All that's known of a recording. `folders` are the names of the folders it lies in, outermost first.

    The site, by `site_from`: "name" is the part of the file's name before its time; "folder" is the innermost folder
    that isn't one that recorders make themselves (`Data`, `20190522`); "none" is none; "auto" is the name's part or
    else the folder, for files that are named as recorders name them, and none for others: the folder of
    `buteo_buteo/XC1067905.mp3` is a species, not a place. Memory cards of AudioMoths are told apart by folder.
    Raises ValueError for another word, OSError when the file can't be opened.
    """
    named, written = from_name(path.name), from_metadata(path)
    by_clock = written if written.time is not None else named  # a clock and its zone come from one place
    prefix, folder = written.site or named.site, _site_folder(folders)
    sites = {"name": prefix, "folder": folder, "none": None, "auto": (prefix or folder) if by_clock.time else None}
    if site_from not in sites:
        raise ValueError(f"site_from {site_from!r}: expected one of {', '.join(sites)}")
    recorder = written.recorder or named.recorder
    return Provenance(sites[site_from], recorder, by_clock.time, by_clock.utc_offset)


def _site_folder(folders: tuple[str, ...]) -> str | None:
    telling = [name for name in folders if not _CARD_FOLDERS.fullmatch(name)]
    return telling[-1] if telling else None


def from_name(name: str) -> Provenance:
    """What the name of a file tells; the site is the part before its time. Impossible dates are no dates."""
    stem = Path(name).stem
    if _HEXADECIMAL.fullmatch(stem) and not stem.isdigit():  # eight digits alone are more often a catalogue number
        time = datetime.fromtimestamp(int(stem, 16), UTC).replace(tzinfo=None)
        if time.year in AUDIOMOTH_YEARS:
            return Provenance(recorder="AudioMoth", time=time, utc_offset=0)
    found = [match for match in _STAMP.finditer(name) if _stamp_time(match) is not None]
    if len(found) != 1:  # two times in a name: no telling which is the start
        return Provenance()
    prefix = _SM3_CHANNEL.sub("", name[: found[0].start()].removesuffix("_")).rstrip("_-. ")
    serial = _SONG_METER_SERIAL.search(prefix)
    recorder = f"Song Meter {serial.group()}" if serial else None
    return Provenance(prefix or None, recorder, _stamp_time(found[0]), _minutes(found[0]["zone"]))


def _stamp_time(match: re.Match[str]) -> datetime | None:
    digits = re.sub(r"\D", "", (match["packed"] or match["dashed"]) + (match["clock"] or match["spaced"]))
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None


def _minutes(zone: str | None) -> int | None:
    """Minutes east of UTC from texts such as `Z`, `UTC`, `+0100`, `-05:30`, `UTC+1`; None where it isn't one."""
    if zone is None:
        return None
    if zone in ("Z", "UTC"):
        return 0
    match = _ZONE.fullmatch(zone)
    if match is None:
        return None
    minutes = int(match["hours"]) * 60 + int(match["minutes"] or 0)
    minutes = -minutes if match["sign"] == "-" else minutes
    return minutes if minutes in UTC_OFFSETS else None


def from_metadata(path: Path) -> Provenance:
    """What the recorder wrote into a WAV file: GUANO, else an AudioMoth's comment; nothing for other files.

    Raises OSError when the file can't be opened. A damaged file gives what can be read of it.
    """
    with path.open("rb") as handle:
        chunks = _metadata_chunks(handle)
    guano = _from_guano(chunks.get(b"guan", b""))
    comment = _from_comment(_info_text(chunks.get(b"LIST", b""), b"ICMT"))
    clock = guano if guano.time is not None else comment
    return Provenance(guano.site, comment.recorder or guano.recorder, clock.time, clock.utc_offset)


def _metadata_chunks(handle: BinaryIO) -> dict[bytes, bytes]:
    """The `guan` and the `LIST INFO` chunks of a RIFF, RF64 or BW64 file; samples are skipped, not read."""
    found: dict[bytes, bytes] = {}
    header = handle.read(12)
    if header[:4] not in (b"RIFF", b"RF64", b"BW64") or header[8:] != b"WAVE":
        return found
    long_data = 0
    while len(head := handle.read(8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        start = handle.tell()
        if name == b"ds64" and size >= 16:
            long_data = struct.unpack("<8xQ", handle.read(16))[0]  # RIFF size, then the size of the data chunk
        elif name == b"data" and size == 0xFFFFFFFF:
            size = long_data
        elif name in (b"guan", b"LIST") and size <= MAX_METADATA:
            body = handle.read(size)
            if name == b"guan" or body[:4] == b"INFO":
                found[name] = body
        handle.seek(start + size + size % 2)  # chunks begin at even bytes
    return found


def _info_text(body: bytes, key: bytes) -> str:
    """One text of a LIST INFO chunk."""
    position = 4
    while position + 8 <= len(body):
        name, size = body[position : position + 4], struct.unpack("<I", body[position + 4 : position + 8])[0]
        if name == key:
            return body[position + 8 : position + 8 + size].split(b"\0")[0].decode("utf-8", "replace")
        position += 8 + size + size % 2
    return ""


def _from_comment(text: str) -> Provenance:
    match = _AUDIOMOTH_COMMENT.search(text)
    if match is None:
        return Provenance()
    try:
        time = datetime.strptime(f"{match['date']} {match['clock']}", "%d/%m/%Y %H:%M:%S")
    except ValueError:
        time = None
    return Provenance(None, match["unit"], time, _minutes(match["zone"]))


def _from_guano(body: bytes) -> Provenance:
    text = body.decode("utf-8", "replace").replace("\0", "")
    lines = [line for line in text.splitlines() if ":" in line]  # guano's reader raises on a line without a colon
    if not lines:
        return Provenance()
    fields = GuanoFile.from_string("\n".join(lines))
    stamp = fields.get("Timestamp")
    time = stamp if isinstance(stamp, datetime) else None  # a text is one that guano couldn't read
    offset = time.utcoffset() if time else None
    minutes = None if offset is None else round(offset.total_seconds() / 60)
    maker = " ".join(str(fields[key]).strip() for key in ("Make", "Model", "Serial") if key in fields)
    site = str(fields.get("WA|Song Meter|Prefix", "")).strip()  # the field that Song Meters have for it
    local = time.replace(tzinfo=None, microsecond=time.microsecond // 1000 * 1000) if time else None
    return Provenance(site or None, maker or None, local, minutes if minutes in UTC_OFFSETS else None)
