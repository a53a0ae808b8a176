"""Which modules may import which, and what `import stylecine` loads."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

import stylecine

PACKAGE = Path(stylecine.__file__).parent

# From the bottom up: a module imports only from earlier rows or from its own room, a folder or a loose module.
LAYERS = [
    {"errors", "version"},
    {"options", "weights"},
    {"machine"},
    {"ops"},
    {"networks"},
    {"checkpoints", "quality"},
    {"perception"},
    {"movement"},
    {"picture", "sound"},
    {"cloth", "edits"},
    {"output"},
    {"engine"},
    {"explanation"},
    {"batch"},
    {"server"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
RANK = {module: rank for rank, row in enumerate(LAYERS) for module in row}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> set[str]:
    """The modules of stylecine that one imports, including inside functions and for type checking, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("stylecine.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "stylecine":
                names |= {
                    f"stylecine.{a.name}" for a in node.names if (PACKAGE / a.name).exists() or module_file(a.name)
                }
            elif node.module and node.module.startswith("stylecine."):
                names.add(node.module)
    return {name.removeprefix("stylecine.") for name in names}


def name_of(module: Path) -> str:
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")


def module_file(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_downward(module: Path) -> None:
    here = module.parts[0].removesuffix(".py")
    assert here in RANK, f"{module} has no place in LAYERS yet"
    for name in imported(PACKAGE / module):
        there = name.split(".")[0]
        assert there == here or RANK[there] < RANK[here], f"stylecine.{name} is not below {module}"


def test_imports_have_no_cycle() -> None:
    graph = {name_of(module): imported(PACKAGE / module) & set(map(name_of, MODULES)) for module in MODULES}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


def test_few_modules_lie_loose_at_the_top() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert len(loose) <= 8, f"{sorted(loose)}: a module belongs into a room"


def test_nothing_heavy_is_imported_until_used() -> None:
    code = (
        "import sys, stylecine, stylecine.cli\n"
        "stylecine.cli.parser()\n"
        "heavy = {'torch', 'numpy', 'scipy', 'PIL', 'av', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from stylecine import animate, Animator, Scene, Cinemagraph\n"
        "assert callable(animate) and 'torch' in sys.modules\n"
        "rare = {'scipy.sparse', 'scipy.spatial', 'scipy.linalg'} & set(sys.modules)\n"
        "assert not rare, rare\n"
        "from stylecine.engine.model_networks import Networks\n"
        "Networks.from_pretrained()\n"
        "assert 'sympy' not in sys.modules, 'random values on the meta device?'\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=PACKAGE.parent)


@pytest.mark.parametrize(
    ("command", "missing", "name"),
    [
        ("studio", "uvicorn", "studio"),
        ("serve", "fastapi", "studio"),
        ("animate examples/sea.jpg -o sea.mp4 --server http://127.0.0.1:1", "httpx", "client"),
    ],
)
def test_commands_name_the_extra_that_they_need(command: str, missing: str, name: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from stylecine.cli import main; sys.exit(main())"
    arguments = [sys.executable, "-c", code, *command.split()]
    run = subprocess.run(arguments, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert run.returncode == 2 and f"needs {missing}" in run.stderr, run.stderr
    assert f"pip install 'stylecine[{name}]'" in run.stderr and len(run.stderr.splitlines()) == 1


def test_only_the_server_needs_what_its_extras_install() -> None:
    extras = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {re.split(r"[^\w-]", name)[0].replace("-", "_") for name in extras["studio"] + extras["client"]}
    assert {"fastapi", "httpx"} <= packages
    for path in set(PACKAGE.rglob("*.py")) - set((PACKAGE / "server").rglob("*.py")):
        assert not set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.M)) & packages, path


def test_exported_members() -> None:
    errors = {name for name, value in vars(stylecine.errors).items() if isinstance(value, type)}
    assert set(stylecine.__all__) == errors | {"Animator", "Cinemagraph", "Scene", "__version__", "animate", "explain"}
    assert stylecine.__all__ == sorted(stylecine.__all__) == dir(stylecine)
    for name in stylecine.__all__:
        assert getattr(stylecine, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'animat'"):
        _ = stylecine.animat


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.slow
def test_a_users_program_passes_mypy_with_every_check(tmp_path: Path) -> None:
    """A user's program is not part of the package, and so not checked with its settings. What is wrong in it is found
    by `make lint`: here PyTorch's types, most of the work, are left out."""
    pytest.importorskip("mypy")
    torch = "[mypy-torch.*]\nfollow_imports = skip\n"
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = true\nwarn_unused_ignores = false\n{torch}")
    program = Path(__file__).with_name("typed_program.py")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", f"--cache-dir={tmp_path}", str(program)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
    )
    wrong = [line for line in found.stdout.splitlines() if line.startswith(str(program)) and ": error:" in line]
    assert not wrong and "typed_program" not in found.stderr, found.stdout


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {re.split(r"[^\w-]", requirement)[0].lower().replace("-", "_") for requirement in requirements}
    modules = {"pil": "pillow", "c2pa": "c2pa_python"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"stylecine", "__future__"}:
                assert modules.get(name.lower(), name.lower()) in declared, f"{path} imports {name}"
