"""`birdssl doctor` names what doesn't fit and the cure, and survives broken installs."""

import json
from pathlib import Path

import pytest

from birdssl.cli.app import main
from birdssl.stages import doctor
from birdssl.stages.doctor import Check, Probe

GOOD = {"torch": "2.12.1", "torchaudio": "2.11.0", "torchvision": "0.27.1"}
LOADS = dict.fromkeys(GOOD, Probe({"version": ""}))


def test_torch_that_fits_is_well():
    check = doctor.torch_check(LOADS, GOOD.get)
    assert check == Check("torch", "torch 2.12.1, torchaudio 2.11.0, torchvision 0.27.1 fit together")
    assert check.ok


def test_a_newer_torch_is_named_with_the_command_that_cures_it():
    broken = LOADS | {"torchaudio": Probe(None, "OSError: libcudart.so.13: cannot open shared object file")}
    check = doctor.torch_check(broken, (GOOD | {"torch": "2.15.0"}).get)
    assert "torch 2.15.0" in check.found
    assert "torchaudio doesn't import (OSError: libcudart.so.13" in check.found
    assert "-m pip install --force-reinstall" in check.cure
    for wanted in ("'torch<2.13,>=2.11'", "'torchaudio==2.11.*'", "'torchvision<0.28,>=0.26'"):
        assert wanted in check.cure


def test_a_cpu_only_torch_of_another_release_is_a_problem_even_where_it_imports():
    check = doctor.torch_check(LOADS, (GOOD | {"torch": "2.13.0+cpu"}).get)
    assert not check.ok
    assert "torch of another release" in check.found


def test_a_package_that_breaks_on_import_is_reported(tmp_path: Path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("raise ImportError('libsomething.so.3: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = doctor.probe(doctor.import_probe("broken_one"))
    assert result == Probe(None, "ImportError: libsomething.so.3: no such file")
    check = doctor.imports_check({"numpy": Probe({}), "sklearn": result})
    assert check.found == "sklearn: ImportError: libsomething.so.3: no such file"
    assert check.cure.endswith("-m pip install --force-reinstall 'scikit-learn'")


def test_a_package_that_kills_its_process_is_reported(tmp_path: Path, monkeypatch):
    (tmp_path / "killer.py").write_text("import os\nos.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.probe(doctor.import_probe("killer")).values is None


def test_missing_and_old_packages_are_listed():
    found = {"numpy": "1.26.0", "soxr": None, "torch": "2.12.1+cu130"}
    check = doctor.requirements_check(
        ["numpy>=2.0", "soxr>=0.5", "torch<2.13,>=2.11", 'mypy; extra == "dev"'], found.get
    )
    assert check.found == "numpy 1.26.0 (needs >=2.0), soxr is missing (needs >=0.5)"
    assert check.cure.endswith("-m pip install 'numpy>=2.0' 'soxr>=0.5'")
    assert doctor.requirements_check(["torch<2.13,>=2.11"], found.get).ok


def test_formats_that_the_library_lacks_are_named():
    result = doctor.probe(doctor.AUDIO_PROBE % json.dumps(["WAV", "XYZ"]))
    check = doctor.audio_check(result)
    assert not check.ok
    assert check.found.startswith("XYZ: ")
    assert "pip install --upgrade 'soundfile'" in check.cure
    assert doctor.audio_check(doctor.probe(doctor.AUDIO_PROBE % json.dumps(doctor.FORMATS))).ok


@pytest.mark.parametrize(
    ("values", "gpus", "found", "ok"),
    [
        ({"gpus": ["H100"], "cuda": "13.0", "mps": False}, ["H100"], "--device auto takes cuda: H100", True),
        ({"gpus": [], "cuda": "13.0", "mps": False}, [], "--device auto takes cpu; no GPU was found", True),
        ({"gpus": [], "cuda": None, "mps": True}, [], "--device auto takes mps, the Apple GPU", True),
        ({"gpus": [], "cuda": "13.2", "mps": False}, ["T4, 535"], "T4, 535 is here but torch can't use it", False),
        ({"gpus": [], "cuda": None, "mps": False}, ["T4, 535"], "this torch is for CPUs only", False),
    ],
)
def test_the_device_that_auto_takes(values: dict, gpus: list[str], found: str, ok: bool):
    check = doctor.device_check(Probe(values), gpus)
    assert found in check.found
    assert check.ok is ok


def test_the_processor_says_whether_it_has_bf16():
    assert doctor.processor_check(2, {"amx_bf16", "avx512_bf16"}).found == "2 cores, bf16 arithmetic in hardware (AMX)"
    assert doctor.processor_check(1, {"sse2"}).found == "1 core, no bf16 arithmetic in hardware"


def test_little_memory_an_old_python_and_a_full_disk_have_a_cure(tmp_path: Path, monkeypatch):
    assert doctor.memory_check(24 * 10**9).ok
    assert "4 GB" in doctor.memory_check(2 * 10**9).cure
    assert "Python 3.11" in doctor.python_check((3, 10, 2)).cure
    assert doctor.disk_check("temp", tmp_path).ok
    monkeypatch.setattr(doctor, "LITTLE_DISK", float("inf"))
    assert "TMPDIR" in doctor.disk_check("temp", tmp_path).cure


def test_the_command_prints_checks_and_cures(monkeypatch, capsys):
    found = [Check("python", "3.11.7"), Check("torch", "torch missing", "pip install 'torch>=2.11'")]
    monkeypatch.setattr("birdssl.cli.checkup.checks", lambda: iter(found))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == (
        "ok       python     3.11.7\n"
        "problem  torch      torch missing\n"
        "                    cure: pip install 'torch>=2.11'\n"
        "1 of 2 checks found a problem; the cures stand below each\n"
    )
    assert main(["doctor", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert [check["name"] for check in printed["checks"]] == ["python", "torch"]


@pytest.mark.slow
def test_this_machine_is_checked_from_end_to_end(capsys):
    code = main(["doctor", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert code == (0 if printed["ok"] else 1)
    named = {check["name"]: check for check in printed["checks"]}
    assert list(named) == [
        "python",
        "packages",
        "torch",
        "imports",
        "audio",
        "device",
        "processor",
        "memory",
        "disk",
        "temp",
    ]
    assert named["torch"]["ok"], named["torch"]["found"]
    assert named["audio"]["ok"], named["audio"]["found"]
