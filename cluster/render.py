"""Writes the manifests of `kuberay/` and `aws/` from `settings.yaml` and `sweeps/`: what repeats stands here once.

python cluster/render.py                 after each change of settings.yaml or of a sweep file
python cluster/render.py --check         says which file is not up to date, and exits 1
python cluster/render.py --settings mine.yaml --out mine/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from manifests import aws, kuberay

HERE = Path(__file__).parent


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, and no anchors: the files are for people."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write what repeats out again."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as above
        """Indent the items of a list, as people do."""
        super().increase_indent(flow, indentless=False)


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def render(settings: dict[str, Any], sweeps: Path) -> dict[str, str]:
    """Every rendered file by its path below this folder.

    Args:
        settings: as in `settings.yaml`.
        sweeps: the folder of the sweep files that the ConfigMaps carry.
    """
    files = kuberay.files(settings, sweeps) | aws.files(settings)
    return {path: _text(why, documents) for path, (why, documents) in files.items()}


def _text(why: str, documents: list[dict[str, Any]]) -> str:
    head = "".join(f"# {line}\n" for line in ("Written by cluster/render.py: change settings.yaml instead.", why))
    return head + "---\n".join(yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=110) for one in documents)


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, default=HERE / "settings.yaml")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    files = render(yaml.safe_load(options.settings.read_text(encoding="utf-8")), HERE / "sweeps")
    old = [path for path, text in files.items() if _read(options.out / path) != text]
    if options.check:
        for path in old:
            print(f"{options.out / path} is not what render.py writes")  # noqa: T201 - a command
        return 1 if old else 0
    for path in old:
        (options.out / path).parent.mkdir(parents=True, exist_ok=True)
        (options.out / path).write_text(files[path], encoding="utf-8")
        print(f"wrote {options.out / path}")  # noqa: T201 - a command
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
