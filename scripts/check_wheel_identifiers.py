"""Check that cibuildwheel makes of pyproject.toml the wheels that are promised, and no others."""

from __future__ import annotations

import subprocess
import sys

PYTHONS = ("cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")
PLATFORMS = {
    "linux": ("manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"),
    "macos": ("macosx_x86_64", "macosx_arm64"),
}


def main() -> None:
    """Compare, and exit with 1 where they differ."""
    for platform, tags in PLATFORMS.items():
        command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"]
        output = subprocess.check_output([*command, "--platform", platform], text=True)
        expected = {f"{python}-{tag}" for python in PYTHONS for tag in tags}
        if different := expected.symmetric_difference(output.split()):
            sys.exit(f"wheels for {platform} are not as promised: {', '.join(sorted(different))}")
        print(f"{platform}: {len(expected)} wheels")


if __name__ == "__main__":
    main()
