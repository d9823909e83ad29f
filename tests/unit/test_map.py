"""The map in CONTRIBUTING is the tree that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "raysweep"


def listed():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = text[text.index("    src/raysweep/") : text.index("Other folders:")]
    return set(re.findall(r"^ {6}(\S+)", block, flags=re.MULTILINE))


def existing():
    modules = {path.name for path in SOURCE.glob("*.py")}
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    stages = {f"stages/{path.name}/" for path in (SOURCE / "stages").iterdir() if (path / "__init__.py").exists()}
    return modules | {f"{name}/" for name in packages - {"stages"}} | stages


def test_the_map_is_the_tree():
    assert listed() == existing()


def test_every_module_opens_with_a_sentence():
    for path in SOURCE.rglob("*.py"):
        assert path.read_text().startswith('"""'), path


def test_the_commands_of_contributing_are_targets():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= targets
