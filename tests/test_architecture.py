"""The house holds: imports point one way, help starts at once, modules stay small, and nothing is swallowed."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "birdssl"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST_MODULE = 400  # lines

# What each room may import of birdssl. A room may always import itself, and everything may import `birdssl` itself.
BELOW_AUDIO = {"settings", "errors", "seeds"}
BELOW_MODELS = BELOW_AUDIO | {"audio", "artifacts"}
BELOW_TRAINING = BELOW_MODELS | {"objectives", "models"}
BELOW_STAGES = BELOW_TRAINING | {"evaluation", "training"}
ROOMS = {
    "errors": set(),
    "seeds": {"errors"},
    "settings": {"errors"},
    "artifacts": BELOW_AUDIO,
    "audio": BELOW_AUDIO,
    "models": BELOW_MODELS,
    "objectives": BELOW_MODELS,
    "evaluation": BELOW_TRAINING,
    "training": BELOW_TRAINING,
    "stages": BELOW_STAGES,
    "cli": BELOW_STAGES | {"stages"},
    "recipes": set(),
}

# Packages that a room may import from outside; the standard library is always allowed. None stands for any.
PACKAGES = {
    "errors": set(),
    "seeds": {"numpy"},
    "settings": {"pydantic", "pydantic_core"},
    "cli": {"pydantic", "pydantic_core", "typer", "rich"},
}

# Files are read and written below `models` and `objectives`; what these get is handed in.
FILE_PACKAGES = {"soundfile", "safetensors", "polars", "pyarrow", "pathlib", "PIL", "json", "shutil", "os"}

# Rooms and modules that print; all others return or log. A recipe's table is printed once its steps have run.
PRINTING = {"cli", "stages/recipe_run.py", "stages/demo.py"}
HEAVY = [
    "torch",
    "torchvision",
    "torchaudio",
    "numpy",
    "sklearn",
    "scipy",
    "polars",
    "pyarrow",
    "matplotlib",
    "soundfile",
]


def room(path: Path) -> str:
    """The first part of a module's place: `audio` of audio/decode.py, `errors` of errors.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """Full names of everything that a module imports, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    """Rooms of birdssl that a module imports from."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("birdssl.")} & ROOMS.keys()


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path):
    if path == SOURCE / "__init__.py":
        assert not rooms_imported(path)
        return
    here = room(path)
    assert here in ROOMS, f"{path} stands in a room that this test doesn't know; add it to ROOMS, below or above others"
    assert rooms_imported(path) <= ROOMS[here] | {here}


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in PACKAGES], ids=name_of)
def test_light_rooms_import_light_packages(path: Path):
    packages = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"birdssl"}
    assert packages <= PACKAGES[room(path)]


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in ("models", "objectives")], ids=name_of)
def test_models_and_objectives_touch_no_files(path: Path):
    packages = {name.split(".")[0] for name in imported(path)}
    assert not packages & FILE_PACKAGES
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "open"]
    opened = {"open", "read_text", "read_bytes", "write_text", "write_bytes"}
    assert not [call for call in calls if isinstance(call, ast.Attribute) and call.attr in opened]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE, "split it: one noun a module"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_error_is_swallowed(path: Path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
            assert node.type is not None, f"line {node.lineno}: bare except"
            goes_on = not isinstance(node.body[-1], ast.Raise) or node.body[-1].exc is not None
            caught_all = names & {"Exception", "BaseException"}
            assert not (caught_all and goes_on), f"line {node.lineno}: name the errors that are expected"


@pytest.mark.parametrize("path", [path for path in MODULES if not {room(path), name_of(path)} & PRINTING], ids=name_of)
def test_only_the_command_line_prints(path: Path):
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    printing = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not printing, f"lines {printing}: return it, or log it"


SCRIPT = """
import json, sys
from birdssl.cli.app import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", 2),
        ("--help", 0),
        ("--version", 0),
        ("synth --help", 0),
        ("synt", 2),
        ("synth --hour 3", 2),
        ("synth", 2),
        ("synth -o out --hours -1", 2),
        ("synth -o out --max-rejects few", 2),
        ("ls --format cvs", 2),
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(line: str, code: int, tmp_path: Path):
    run = subprocess.run([sys.executable, "-c", SCRIPT, *line.split()], capture_output=True, text=True, cwd=tmp_path)
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["code"] == code, run.stderr
    assert not set(HEAVY) & set(found["modules"])
    assert not list(tmp_path.iterdir())
