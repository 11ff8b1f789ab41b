"""What the examples share: their options, a line that shows progress, and saving the picture."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import matjac as mj

console = Console()


def options(description: str, name: str, argv: Any, **defaults: Any) -> argparse.Namespace:
    """The command line: one option for each default, of its type, and where the picture goes."""
    parser = argparse.ArgumentParser(description=description)
    for key, value in defaults.items():
        many = {"nargs": "+", "type": type(value[0])} if isinstance(value, list) else {"type": type(value)}
        parser.add_argument(f"--{key}", default=value, help="(default: %(default)s)", **many)
    parser.add_argument("--output", type=Path, default=Path(f"{name}.png"), help="the picture (default: %(default)s)")
    return parser.parse_args(argv)


class Shown:
    """A progress callback: it shows what a solver is at, and keeps the curve."""

    def __init__(self, say: Any) -> None:
        self.say = say
        self.seconds: list[float] = []
        self.values: list[float] = []

    def __call__(self, at: mj.solvers.Progress) -> None:
        """Show a step, and note it."""
        self.say(f"step {at.steps}, {at.value:.6g}")
        self.seconds.append(at.seconds)
        self.values.append(at.value)


@contextmanager
def progress() -> Iterator[Any]:
    """A line with a spinner: ``report("what")`` makes a callback for a solver."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting")

        def report(what: str) -> Shown:
            bar.update(task, description=what)
            return Shown(lambda text: bar.update(task, description=f"{what}: {text}"))

        yield report
        bar.update(task, description="done", total=1, completed=1)


def save(figure: Figure, output: Path) -> None:
    """Save the picture, and say where."""
    figure.savefig(output, dpi=120)
    console.print(f"picture: {output}")
