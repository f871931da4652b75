"""Each fault of a configuration file is one exact line; whatever a file holds, it is settings or faults, never more."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pierhead.boot.config import ConfigFaults, load, parse
from pierhead.boot.config_faults import FAULTS_SHOWN_MAX
from pierhead.boot.config_tree import BYTES_MAX

EXAMPLES = Path(__file__).parents[2] / "examples" / "cwiq"
SHARED = (EXAMPLES / "shared.yaml").read_text()

TWO_HOSTED = "repositories:\n  h: {type: hosted}\n  h2: {type: hosted}\n"


def cases(section: int) -> list[tuple[str, list[str]]]:
    """One section of faults.txt: each text with ``> `` or two spaces before its lines, and its sentences."""
    parts = re.split(r"^# .*\n\n", (Path(__file__).parent / "faults.txt").read_text(), flags=re.MULTILINE)
    blocks = [block.splitlines() for block in parts[section].strip("\n").split("\n\n")]
    return [
        (
            "\n".join(line for line in block if not line.startswith("= ")),
            [line.removeprefix("= ") for line in block if line.startswith("= ")],
        )
        for block in blocks
    ]


def check(marked: str, sentences: list[str]) -> None:
    lines = marked.split("\n")
    at = next(number for number, line in enumerate(lines, 1) if line.startswith("> "))
    assert faults_of("\n".join(line[2:] for line in lines)) == tuple(f"c.yaml line {at}: {one}" for one in sentences)
    assert "hunter2" not in "".join(sentences)


def shifted(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(("text", "sentences"), cases(2))
def test_a_fault_is_one_exact_line(text: str, sentences: list[str]) -> None:
    check(text, sentences)


@pytest.mark.parametrize(("text", "sentences"), cases(3))
def test_a_fault_of_a_repository_is_one_exact_line(text: str, sentences: list[str]) -> None:
    check(shifted(TWO_HOSTED) + "\n".join(f"{line[:2]}  {line[2:]}" for line in text.split("\n")), sentences)


@pytest.mark.parametrize(("text", "sentences"), cases(4))
def test_a_fault_of_stages_and_accounts_is_one_exact_line(text: str, sentences: list[str]) -> None:
    check(f"{text}\n" + shifted(TWO_HOSTED + "  g: {type: group, members: [h]}"), sentences)


@pytest.mark.parametrize(("text", "sentences"), [*cases(5), *cases(6)])
def test_a_fault_of_roles_and_of_services_and_trust_is_one_exact_line(text: str, sentences: list[str]) -> None:
    check(f"{text}\n" + shifted(TWO_HOSTED + "  g: {type: group, members: [h]}"), sentences)


def test_a_tab_is_refused_with_what_to_do() -> None:
    assert faults_of("a:\n\t- b") == (
        "c.yaml line 2: not YAML: found character '\\t' that cannot start any token. Indent with spaces.",
    )


def faults_of(text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(ConfigFaults) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), "c.yaml")
    return caught.value.lines


def test_all_faults_of_a_file_are_listed_at_once_in_its_order() -> None:
    lines = faults_of("workers: 0\nlissten: x\nrepositories:\n  A: {type: hosted}\nlog: {format: xml}\n")
    assert [line.split(":")[0] for line in lines] == [f"c.yaml line {n}" for n in (1, 2, 4, 5)]


def test_a_file_of_faults_only_shows_a_hundred_and_counts_the_rest() -> None:
    lines = faults_of("".join(f"zq{n}: 1\n" for n in range(250)))
    assert len(lines) == FAULTS_SHOWN_MAX + 1
    assert lines[-1] == "c.yaml: and 150 more faults."


def test_an_empty_file_is_refused_since_half_written_files_are_empty() -> None:
    assert faults_of("") == faults_of("# nothing\n")
    assert faults_of("") == ("c.yaml: holds nothing. Write at least `listen: 127.0.0.1:8081`.",)


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    assert faults_of(b"a: b\nc: \xff\n") == ("c.yaml line 2: is not UTF-8 text. Save the file as UTF-8.",)
    assert faults_of('data: "\\ud800"') == (
        "c.yaml line 1: `data` holds half a character (\\ud800 to \\udfff). Remove it.",
    )
    assert faults_of('"a\\u0007": b') == ("c.yaml line 1: a key holds a control character. Remove it.",)
    assert faults_of("a: b\nc: \x07\n") == ("c.yaml line 2: holds a control character. Remove it.",)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigFaults, match=r"cannot be read: .*\. Give the file with --config FILE\.$"):
            load(path)


def test_large_deep_and_self_repeating_files_are_refused_quickly() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(8)
    )
    started = time.monotonic()
    assert "larger than 1 MiB" in faults_of(b"#" * (BYTES_MAX + 1))[0]
    assert "deeper than 16" in faults_of("a: " + "[" * 100_000)[0]
    assert "deeper than 16" in faults_of("a: &a [*a]")[0]
    assert "more than 50000 values" in faults_of(bomb)[0]
    assert time.monotonic() - started < 20


ODD = [
    "", "~", "no", "0", "-1", "1e400", ".nan", "30", "30s", "[]", "{}", "[~]", "{a: b}", "&a [*a]", "*a", "!x y", "<<",
    "!!binary aGk=", "!!int x", "!!set {a}", "'", '"', '"\\ud800"', "|", ">", "a\u2028b", "\u0000", "٣:٣", "[::1]:1",
    "http://[", "http://h:x", "127.0.0.1:8443", "1" * 5000, "x" * 300, "docker-group", "%", "@", "`", "2026-01-01",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The example with a few lines removed, doubled, exchanged or cut, and values replaced by odd ones."""
    lines = SHARED.split("\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        deed = draw(st.sampled_from(["drop", "double", "move", "value", "key", "indent", "noise"]))
        if deed == "drop" and len(lines) > 1:
            del lines[at]
        elif deed == "double":
            lines.insert(at, lines[at])
        elif deed == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines[at])
        elif deed == "value":
            lines[at] = lines[at].partition(":")[0] + ": " + draw(st.sampled_from(ODD))
        elif deed == "key":
            lines[at] = draw(st.sampled_from(ODD)) + ":" + lines[at].partition(":")[2]
        elif deed == "indent":
            lines[at] = " " * draw(st.integers(0, 5)) + lines[at].strip()
        else:
            cut = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:cut] + draw(st.text(max_size=4)) + lines[at][cut:]
    return "\n".join(lines)


def read(content: bytes) -> None:
    """Settings, or faults that are in order: single lines that name the file. Anything else is raised."""
    lines: tuple[str, ...] | None = None
    try:
        parse(content, "c.yaml")
    except ConfigFaults as faults:
        lines = faults.lines
    assert lines is None or lines
    assert all(line.startswith(("c.yaml line ", "c.yaml: ")) and line.isprintable() for line in lines or ())


@settings(max_examples=250)
@given(mutated())
def test_a_mutated_file_is_settings_or_faults_and_never_another_error(text: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):  # lone surrogates cannot be in a file
        read(text.encode())


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n\t,?~0.", max_size=60).map(str.encode))
@example(b"%YAML 1.1\n---\nworkers: 0777\n")
@example(b"? a\n: !!python/object:os.system x\n")
def test_arbitrary_bytes_are_settings_or_faults_and_never_another_error(content: bytes) -> None:
    read(content)


@pytest.mark.parametrize(("text", "sentences"), cases(8))
def test_a_rule_of_expiry_that_cannot_hold_says_why(text: str, sentences: list[str]) -> None:
    check(text, sentences)
