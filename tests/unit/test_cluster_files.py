"""What stands in cluster/ beside the manifests: scripts, the Dockerfile, and pages that say what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.cli.main import main

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
SCRIPTS = [CLUSTER / "slurm" / "sweep.sbatch", CLUSTER / "image" / "install.sh"]
DOCKERFILE = (CLUSTER / "image" / "Dockerfile").read_text()
PAGES = sorted(CLUSTER.rglob("README.md"))
LONGEST_PAGE = 75


def tool(name):
    """A program that a development package brings, beside this Python."""
    path = Path(sys.executable).parent / name
    return path if path.exists() else pytest.skip(f"{name} is not installed: make setup")


def commands(text):
    """The lines of a page that are to be typed."""
    joined = re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE)
    return [line for line in joined if not re.match(r"[A-Z_]+=", line)]


def shell_words(line):
    words, parts = [], shlex.split(line, comments=True)
    for word in parts:
        if word in {"&&", "|", "||"}:
            yield words
            words = []
        else:
            words.append(word)
    yield words


TYPED = [(page, words) for page in PAGES for line in commands(page.read_text()) for words in shell_words(line)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_sound(script):
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    checked = subprocess.run([tool("shellcheck"), "--shell=bash", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_shellcheck_finds_what_is_wrong(tmp_path):
    broken = tmp_path / "broken.sbatch"
    broken.write_text(SCRIPTS[0].read_text().replace('"$private/token"', "$private/token"))
    assert (
        subprocess.run([tool("shellcheck"), "--shell=bash", broken], capture_output=True, check=False).returncode == 1
    )


def test_the_slurm_script_wants_a_sweep_and_a_run():
    for given in ([], ["sweep.yaml"]):
        ran = subprocess.run(["bash", SCRIPTS[0], *given], capture_output=True, text=True, check=False)
        assert ran.returncode != 0
        assert "sbatch sweep.sbatch SWEEP RUN" in ran.stderr


def test_the_slurm_job_is_warned_before_its_end_queued_again_and_closed():
    text = SCRIPTS[0].read_text()
    asked = set(re.findall(r"^#SBATCH --(\S+)", text, flags=re.MULTILINE))
    assert {"signal=B:INT@600", "requeue", "no-kill", "exclusive"} <= asked
    assert "RAY_AUTH_MODE=token" in text
    assert text.index("umask 077") < text.index("mktemp") < text.index("/token")


def test_the_dockerfile_is_sound():
    checked = subprocess.run(
        [tool("hadolint"), CLUSTER / "image" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_image_is_built_of_what_there_is_and_of_nothing_else():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    paths = [path for line in copied for path in line.split()]
    assert paths
    assert all((ROOT / path).exists() for path in paths)
    allowed = (CLUSTER / "image" / "Dockerfile.dockerignore").read_text().splitlines()
    assert allowed[1] == "*"
    assert {line[1:] for line in allowed if line.startswith("!")} == set(paths)


def test_the_image_is_pinned_and_is_not_roots():
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    names = {name for _, name in stages}
    assert {base for base, _ in stages} - names == {"python:${PYTHON}"}
    assert re.search(r"^ARG PYTHON=\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, flags=re.MULTILINE)
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, flags=re.MULTILINE) == ["1000:1000"]
    for program in ("wget", "procps"):  # KubeRay's probes; pkill and pgrep of the preStop hook
        assert program in DOCKERFILE


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.parent.name)
def test_a_page_is_one_page_and_says_what_has_to_be_known(page):
    text = page.read_text()
    assert len(text.splitlines()) <= LONGEST_PAGE
    if page.parent.name in {"kuberay", "slurm", "aws"}:
        for heading in ("Start", "Watch", "Stop", "What it costs", "Keep it closed"):
            assert f"## {heading}" in text
        assert "**What to change**" in text


def test_every_folder_has_its_page():
    folders = {
        path for path in CLUSTER.iterdir() if path.is_dir() and path.name not in {"manifests", "sweeps", "__pycache__"}
    }
    assert {page.parent for page in PAGES} == folders | {CLUSTER}


def test_the_pages_link_to_what_there_is():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).exists(), target


def test_the_files_that_are_to_be_typed_exist():
    typed = {word for _, words in TYPED for word in words if word.startswith("cluster/")}
    assert len(typed) > 5
    assert {path for path in typed if not (ROOT / path).exists()} == set()


def test_the_commands_of_raysweep_that_are_to_be_typed_exist(capsys):
    typed = [words for _, words in TYPED if "raysweep" in words[:1]]
    inner = [shlex.split(word) for _, words in TYPED for word in words[1:] if " raysweep run " in word]
    typed += [words[words.index("raysweep") :] for words in inner]
    assert {words[1] for words in typed} >= {"show", "run"}
    for words in typed:
        with pytest.raises(SystemExit) as left:
            main([words[1], "--help"])
        assert not left.value.code, words
        shown = capsys.readouterr().out
        assert all(word in shown for word in words if word.startswith("--")), words


def test_the_targets_that_are_to_be_built_exist():
    targets = [words[words.index("--target") + 1] for _, words in TYPED if "--target" in words]
    assert set(targets) == {"cpu", "gpu"}
    assert set(targets) <= set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE))


def test_the_exit_codes_of_the_page_are_those_of_the_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"\b\d+\b(?= [A-Za-z])", capsys.readouterr().out.partition("Exit codes:")[2]))
    table = (CLUSTER / "README.md").read_text().partition("| exit code |")[2].partition("##")[0]
    codes = [
        code for cell in re.findall(r"^\| ([\d, ]+)", table, flags=re.MULTILINE) for code in re.findall(r"\d+", cell)
    ]
    assert len(codes) == len(set(codes)) > 5
    assert set(codes) <= known
