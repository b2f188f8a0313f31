"""The house: what is pinned is hashed, no address is recorded, dependencies are justified, no clock is read."""

import ast
import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def test_each_direct_dependency_has_its_line() -> None:
    said = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    extras = PROJECT["optional-dependencies"].values()
    names = {re.split(r"[\[<>=; ]", d)[0] for group in [PROJECT["dependencies"], *extras] for d in group}
    assert sorted(name for name in names if f"| {name} |" not in said) == []


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_hashed_and_record_no_address(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "://" not in text and "--find-links" not in text and "--index" not in text
    pins = re.findall(r"^([a-z0-9][\w.-]*)==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    hashed = re.findall(r"^[a-z0-9][\w.-]*==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)
    assert pins and len(hashed) == len(pins)


def test_no_lock_file_is_kept() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in kept if Path(name).name in ("uv.lock", "pylock.toml", "poetry.lock")] == []


@pytest.mark.parametrize("room", ["rulebook", "ledger", "strategy"])
def test_the_pure_rooms_never_read_the_clock(room: str) -> None:
    for path in (ROOT / "src" / "forbear" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "today", "utcnow"), f"{path.name}:{node.lineno}"


VENDORED = [*sorted(ROOT.glob("src/**/vendor/*.js")), *sorted(ROOT.glob("tests/vendor/*.js"))]


@pytest.mark.parametrize("path", VENDORED, ids=lambda path: path.name)
def test_vendored_files_are_the_published_ones(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    readme = (path.parent / "README.md").read_text("utf-8")
    assert re.search(rf"^\| {re.escape(path.name)} .*{digest}", readme, re.MULTILINE)
    assert (path.parent / path.name.replace(".min.js", ".LICENSE")).is_file()
