"""Build sdist and wheel, install the wheel here, and run the suite against it.

The suite runs from the unpacked sdist with the package taken out of it: so what it imports can only
be the installed wheel, and a file that is missing from the sdist is missed. Run by tox.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = "django_phone_otp"
DISTRIBUTION = "django-phone-otp"
CHECKOUT = Path(__file__).resolve().parent.parent
WHERE_IMPORTED = f"import {PACKAGE}; print({PACKAGE}.__file__)"
# Compiled or packed by a tool, therefore easily forgotten: each suffix in the checkout's package
# has to arrive.
CARRIED = {".css", ".html", ".js", ".json", ".mo", ".po", ".py", ".svg", ".txt", ".typed"}


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a program with its output shown; end this one when it fails."""
    print("$", *command, flush=True)
    status = subprocess.run(command, check=False, cwd=cwd, env=env).returncode
    if status:
        sys.exit(status)


def install(*arguments: str) -> None:
    """Install into the environment that runs this."""
    run(sys.executable, "-m", "pip", "install", "--quiet", *arguments)


def build(outdir: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the sdist; return both paths."""
    run(sys.executable, "-m", "build", "--outdir", str(outdir), str(CHECKOUT))
    (sdist,) = outdir.glob("*.tar.gz")
    (wheel,) = outdir.glob("*.whl")
    return sdist, wheel


def check_contents(wheel: Path) -> None:
    """End with a message unless the wheel holds the package, all of it, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.endswith("/")}
    tops = {name.split("/", 1)[0] for name in packed}
    strangers = {top for top in tops if top != PACKAGE and not top.endswith(".dist-info")}
    wanted = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / PACKAGE).rglob("*")
        if path.is_file() and path.suffix in CARRIED
    }
    wanted.add(f"{PACKAGE}/py.typed")
    translations = {name for name in wanted | packed if name.endswith(".po")}
    wanted |= {name.removesuffix(".po") + ".mo" for name in translations}
    if strangers:
        sys.exit(f"The wheel holds more than {PACKAGE}: {sorted(strangers)}")
    if missing := sorted(wanted - packed):
        sys.exit(f"The wheel lacks {missing}")


def unpack_without_package(sdist: Path, target: Path) -> Path:
    """Unpack the sdist, take the package out, and return the folder of the rest."""
    with tarfile.open(sdist) as archive:
        archive.extractall(target, filter="data")
    (root,) = target.iterdir()
    shutil.rmtree(root / PACKAGE)
    return root


def main(workdir: Path, *pytest_arguments: str) -> None:
    """Do all of it below `workdir`, which is emptied first."""
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    sdist, wheel = build(workdir / "dist")
    check_contents(wheel)
    # The version may be the same as that of an earlier run: reinstall ours, leave the others.
    install("--force-reinstall", "--no-deps", str(wheel))
    metadata = importlib.metadata.metadata(DISTRIBUTION)
    extras = ",".join(metadata.get_all("Provides-Extra") or [])
    install(f"{wheel}[{extras}]")

    elsewhere = unpack_without_package(sdist, workdir / "elsewhere")
    environment = os.environ | {"PHONE_OTP_WHEEL": str(wheel)}
    environment.pop("PYTHONPATH", None)
    imported = subprocess.run(
        [sys.executable, "-c", WHERE_IMPORTED],
        cwd=elsewhere,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    print("The suite imports", imported, flush=True)
    if not Path(imported).is_relative_to(sys.prefix):
        sys.exit(f"That is not the installed wheel, which is below {sys.prefix}")
    run(sys.executable, "-m", "pytest", *pytest_arguments, cwd=elsewhere, env=environment)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
