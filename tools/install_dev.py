"""Make the checkout importable in its .venv and put the `xdpws` command there (what `pip install -e` does, without
its isolated build: the extension is built by make)."""
import sys
import sysconfig
from pathlib import Path

root = Path(__file__).resolve().parent.parent
Path(sysconfig.get_paths()["purelib"], "xdpws-dev.pth").write_text(f"{root}\n")
command = Path(sys.prefix, "bin", "xdpws")
command.write_text(f"#!{sys.prefix}/bin/python\nimport sys\nfrom xdpws.cli.main import main\nsys.exit(main())\n")
command.chmod(0o755)
