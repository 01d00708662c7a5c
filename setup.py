"""The wheel: everything of Furrow stands below ``furrow/`` in site-packages, and nothing beside it.

In the repository the packages stand at the top level, under names (``tasks``, ``flows``, ``schema``) that another project
may use too. In the wheel they lie in ``furrow/_packages/``, which ``furrow/__init__.py`` puts on the import path of Furrow's
own processes. Settings of the build that need no code are in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGES = (
    "blocks",
    "collector",
    "core",
    "flows",
    "incidents",
    "lander",
    "schema",
    "stores",
    "tasks",
    "trackers",
    "ufse",
)
"""The top-level packages that travel in the wheel; ``tests/packaging`` checks that none is missing."""
FILES = ("prefect.yaml",)
SCRIPTS = ("furrow.js", "furrow.js.gz", "furrow.js.br")
"""Of ``browser/dist``: what the collector serves (``core/browser_script.py``)."""


class BuildWithPackages(build_py):
    """Builds ``furrow`` as usual, then copies the other packages, data files included, below it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # they are imported from the repository
        target = Path(self.build_lib) / "furrow" / "_packages"
        shutil.rmtree(target, ignore_errors=True)
        for name in PACKAGES:
            shutil.copytree(name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for name in FILES:
            shutil.copy2(name, target / name)
        (target / "browser" / "dist").mkdir(parents=True)
        for name in SCRIPTS:
            if (built := Path("browser") / "dist" / name).exists():  # without it, the collector says what is missing
                shutil.copy2(built, target / "browser" / "dist" / name)


setup(cmdclass={"build_py": BuildWithPackages})
