"""Help, by its whole text, and every verb's help by its width."""

import pytest

from birdssl.cli.page import command_help, root_help, with_headings
from birdssl.cli.tree import commands
from birdssl.cli.verbs import TOOLS, VERBS

DOUBLE = """\
Usage: birdssl double FOLDER... -o OUT [OPTIONS]

Double numbers. It does no more.

Each file holds one.

Example:
  birdssl double numbers -o doubled

Input:
  FOLDER                      Directories that earlier stages made.

Settings:
      --factor INT            What to multiply by. [at least 1; default 2]
      --pause NUMBER          Seconds to take over each file. [at least 0;
                              default 0]

Input and output:
  -o, --out OUT               Directory to write.
      --config FILE           TOML file of settings.

How it runs:
  -j, --jobs INT              Worker processes; the bytes that come out are the
                              same for any number. [at least 1; default 1]
      --device auto|cpu|cuda|cuda:N|mps
                              Where networks run. [default auto]
      --update                Add what has appeared in the input since OUT was
                              made.
      --overwrite             Remove OUT first, when it's an artifact of this
                              verb.
      --dry-run               Say what would be done, in how many units and
                              bytes, and write nothing.
      --max-rejects N|P%      How many inputs may be left out before the exit
                              code is 3: a count or N%. [default 0]
      --json                  Print one JSON object on stdout instead of text.
  -q, --quiet                 Only warnings and errors on stderr.

Each option can also be set as a variable, such as BIRDSSL_DOUBLE_... or
BIRDSSL_JOBS, or in --config. `man birdssl-double` has more.
"""


@pytest.mark.parametrize("line", ["double -h", "double --help", "help double"])
def test_help_of_a_verb(birdssl, line: str):
    assert birdssl(line) == (0, DOUBLE, "")


def test_headings_are_bold_for_a_terminal():
    assert with_headings("Usage: x\n\nInput:\n  DIR: a\nDoes it: yes.") == (
        "\x1b[1mUsage:\x1b[0m x\n\n\x1b[1mInput:\x1b[0m\n  DIR: a\nDoes it: yes."
    )


def test_help_of_birdssl_lists_every_command(birdssl):
    printed = birdssl("--help")
    assert printed.code == 0
    for name in [*VERBS, *TOOLS]:
        assert f"\n  {name} " in printed.out
    assert "  double  Double numbers.\n" in printed.out.replace("double    ", "double  ")


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_help_keeps_to_its_width(columns: int):
    for command in commands().values():
        long = [line for line in command_help(command, columns).splitlines() if len(line) > columns]
        assert not [line for line in long if not line.startswith(("  ", "Usage"))]  # an example is never broken
    assert max(map(len, root_help(commands(), columns).splitlines())) <= columns


@pytest.mark.parametrize("name", [*VERBS, *TOOLS])
def test_every_command_says_what_it_does_and_shows_an_example(name: str):
    command = commands()[name]
    assert command.summary.endswith(".")
    assert len(command.summary) > 20
    assert command.example.startswith(f"birdssl {name}")
    assert all(flag.help.endswith((".", ")")) for flag in command.flags()), "a help text is a sentence"


@pytest.mark.parametrize("name", [*VERBS, *TOOLS])
def test_no_two_options_of_a_command_share_a_form(name: str):
    forms = [form for flag in commands()[name].flags() for form in flag.forms] + ["-h", "--help"]
    assert len(forms) == len(set(forms))


def test_settings_that_verbs_share_stand_under_headings_of_their_own():
    titles = {name: [section.title for section in command.sections] for name, command in commands().items()}
    for verb in ("pretrain", "finetune", "fewshot"):
        own, *shared = titles[verb][:-2]
        assert own == "Settings"
        assert {"Encoder", "Training"} <= set(shared)
        assert any(title.startswith("Sound as input") for title in shared)
    assert titles["segment"][0] == "Settings"
    sections = {section.title: [flag.long for flag in section.flags] for section in commands()["pretrain"].sections}
    assert {"--epochs", "--fold", "--seed"} <= set(sections["Training"])
    assert {"--objective", "--temperature"} <= set(sections["What is learnt"])
    options = [long for longs in sections.values() for long in longs]
    assert len(options) == len(set(options)), "each option stands once"
