"""The package as a whole: what an import does, and which room may import which."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest

import sklearn_proxyopt

PACKAGE = Path(sklearn_proxyopt.__file__).parent
ROOT = PACKAGE.parent


def read_layers() -> dict[str, int]:
    """Return the layer of each room, from the table of CONTRIBUTING.md, their only list."""
    rows = re.findall(
        r"^\| (\d+) \| (.+?) \|",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {room: int(layer) for layer, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}


LAYERS = read_layers()

IMPORT_AND_REPORT = """
import json, logging, random, sys
import numpy as np
import torch

def handlers():
    loggers = [logging.getLogger(), *(
        logger for logger in logging.Logger.manager.loggerDict.values()
        if isinstance(logger, logging.Logger)
    )]
    return sorted(
        (logger.name, type(handler).__name__, id(handler))
        for logger in loggers for handler in logger.handlers
    )

def random_states():
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "numpy": repr((kind, keys.tolist(), position, has_gauss, cached)),
        "random": repr(random.getstate()),
        "torch": repr(torch.random.get_rng_state().tolist()),
    }

logging.getLogger().addHandler(logging.StreamHandler())
logging.getLogger("user").addHandler(logging.NullHandler())
handlers_before, states_before = handlers(), random_states()
import sklearn_proxyopt
for room in sys.argv[1:]:
    __import__("sklearn_proxyopt." + room)
handlers_after, states_after = handlers(), random_states()
print(json.dumps({
    "handlers_before": handlers_before,
    "handlers_after": handlers_after,
    "changed_generators": [k for k in states_before if states_before[k] != states_after[k]],
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str | None:
    """Return the part of the name below the package, or None for the package itself."""
    return module.split(".")[1] if "." in module else None


def imports_of(module: str) -> set[str]:
    """Return the modules of the package that a module imports, wherever in its text."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            below = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else base for name in below]
        else:
            continue
        found.update(name for name in names if name.partition(".")[0] == PACKAGE.name)
    return found


def may_import(module: str, target: str) -> bool:
    room, target_room = room_of(module), room_of(target)
    if room is None:
        return True
    if target_room is None:
        return False
    return room == target_room or LAYERS[target_room] < LAYERS[room]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Import every room in a fresh interpreter, inside an empty read-only directory."""
    directory = tmp_path_factory.mktemp("empty")
    directory.chmod(0o555)
    rooms = sorted({room for module in MODULES if (room := room_of(module))})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_REPORT, *rooms],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    report["files"] = [path.name for path in directory.iterdir()]
    return report


# What makes tensors without being given one, and which of them take torch's default type.
MADE_OF_NOTHING = {"tensor", "as_tensor", "arange", "randperm", "randint"}
OF_DEFAULT_TYPE = {"rand", "randn", "zeros", "ones", "empty", "full", "linspace", "eye"}


@pytest.mark.parametrize("module", MODULES)
def test_every_tensor_has_a_type_and_a_place_of_its_own(module):
    unsaid = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        kind, named = node.func.attr, {keyword.arg for keyword in node.keywords}
        owed = {"device"} if kind in MADE_OF_NOTHING | OF_DEFAULT_TYPE else set()
        owed |= {"dtype"} if kind in OF_DEFAULT_TYPE else set()
        is_torch = ast.unparse(node.func.value) in ("torch", "self._torch")
        if is_torch and None not in named and not owed <= named:
            unsaid.append(ast.unparse(node))
    assert unsaid == []


def test_importing_creates_no_file(imported):
    assert imported["files"] == []


def test_importing_removes_no_logging_handler(imported):
    removed = [h for h in imported["handlers_before"] if h not in imported["handlers_after"]]
    assert removed == []


def test_importing_adds_no_logging_handler_that_writes(imported):
    added = [h for h in imported["handlers_after"] if h not in imported["handlers_before"]]
    assert {kind for _, kind, _ in added} <= {"NullHandler"}


def test_importing_leaves_the_global_generators_untouched(imported):
    assert imported["changed_generators"] == []


@pytest.mark.parametrize("library", ["matplotlib", "pyswarms", "dask", "distributed", "CoolProp"])
def test_importing_does_not_bring(imported, library):
    assert library not in imported["modules"]


WITHOUT = """
import sys
for name in ("pyswarms", "deap", "moocore"):
    sys.modules[name] = None

import numpy as np

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.optimizers import (
    NSGA2, DifferentialEvolution, GeneticAlgorithm, MultiStartBFGS, ParticleSwarm, hypervolume
)
from sklearn_proxyopt.proxies import KernelProxyRegressor

bowl, box = lambda X: ((X - 0.3) ** 2).sum(axis=1), [[0.0, 1.0]] * 2
for proxy in (NeuralProxyRegressor(max_epochs=5), KernelProxyRegressor()):
    ProxyOptimizer(proxy=proxy, vectorized=True, random_state=0).minimize(bowl, box, budget=30)
for works in (MultiStartBFGS(), DifferentialEvolution(8, 5), ParticleSwarm(8, 5, n_restarts=2)):
    works.minimize(bowl, box)
two = lambda X: np.column_stack([bowl(X), bowl(X + 0.2)])
for needs in (
    lambda: ParticleSwarm().minimize(bowl, box),
    lambda: GeneticAlgorithm().minimize(bowl, box),
    lambda: NSGA2().minimize(two, box),
    lambda: hypervolume([[0.0]], [1.0]),
):
    try:
        needs()
    except ImportError as error:
        print(error)
"""


def test_only_swarm_and_genetic_algorithms_need_the_libraries_that_they_run_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line.partition(". ")[0].rstrip(".") for line in done.stdout.splitlines()]
    assert said == [
        "ParticleSwarm needs pyswarms: pip install pyswarms",
        "GeneticAlgorithm needs deap: pip install deap",
        "NSGA2 needs deap: pip install deap",
        "hypervolume needs moocore: pip install moocore",
    ]


def test_the_version_is_that_of_the_installed_distribution():
    assert sklearn_proxyopt.__version__ == version("sklearn_proxyopt")


@pytest.mark.parametrize("name", sklearn_proxyopt.__all__)
def test_the_top_level_offers(name):
    assert hasattr(sklearn_proxyopt, name)


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name)])
def test_every_room_has_a_layer(module):
    assert room_of(module) in LAYERS


def test_every_layer_has_rooms_that_exist():
    assert set(LAYERS) == {room_of(module) for module in MODULES if room_of(module)}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_only_down_the_layers(module):
    upwards = sorted(name for name in imports_of(module) if not may_import(module, name))
    assert upwards == []


def test_no_imports_run_in_a_circle():
    graph = {module: imports_of(module) - {module} for module in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_the_hooks_use_the_ruff_of_the_constraints():
    constraint = re.search(
        r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==([\d.]+)", hooks)) == {constraint[1]}


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {sklearn_proxyopt.__version__}\n" in citation
