"""Puts src/ on the environment's path and writes the `forbear` command: an editable install without a build."""

import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Path(sysconfig.get_path("purelib"), "forbear.pth").write_text(f"{ROOT / 'src'}\n", "utf-8")
command = Path(sysconfig.get_path("scripts"), "forbear")
command.write_text(f"#!{sys.executable}\nfrom forbear.__main__ import main\n\nmain()\n", "utf-8")
command.chmod(0o755)
