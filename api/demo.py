"""A real fit: R (rank × size) to the Gram matrix of handwritten digits, through two faces of one Jacobian."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy.optimize import least_squares
from sklearn.datasets import load_digits

from matjac.conventions import Array
from matjac.identities.quadratic import d_gram_dR
from matjac.jacobian import Jacobian
from matjac.threads import split, thread_count

REPEATS = 21


@dataclass
class Fit:
    """One run of the solver, and what it cost."""

    face: str
    solution: Array
    cost: float
    evaluations: int
    seconds: float
    #: cost at the points at which a Jacobian was asked for: one an accepted step
    costs: list[float] = field(default_factory=list)


def gram_of_digits(size: int, samples: int) -> Array:
    """K = XᵀX / samples for the most varied pixels of the first digits, in their order on the image."""
    images = load_digits().data[:samples] / 16
    kept = np.sort(np.argsort(-images.var(axis=0), kind="stable")[:size])
    return images[:, kept].T @ images[:, kept] / samples  # type: ignore[no-any-return]


def fit(face: str, K: Array, start: Array, report: Callable[[int, float], None]) -> Fit:
    """Minimise ½‖RᵀR − K‖² from `start`, with the Jacobian's face of that name."""
    matrix: Any = None
    costs: list[float] = []

    def residual(x: Array) -> Array:
        R = x.reshape(start.shape)
        return (R.T @ R - K).ravel()

    def jacobian(x: Array) -> Any:
        nonlocal matrix
        costs.append(0.5 * float(np.sum(residual(x) ** 2)))
        report(len(costs), costs[-1])
        J = d_gram_dR(x.reshape(start.shape))
        if face == "operator":
            return J
        # trf keeps no earlier Jacobian, so one matrix serves for all
        matrix = J.tocsr(out=matrix)
        return matrix

    began = time.perf_counter()
    result = least_squares(residual, start.ravel(), jac=jacobian, tr_solver="lsmr")
    seconds = time.perf_counter() - began
    return Fit(face, result.x.reshape(start.shape), float(result.cost), result.nfev, seconds, costs)


def median_seconds(*tasks: Callable[[], object]) -> list[float]:
    """The median time of each, taken in turn so that a noisy moment strikes all."""
    times: list[list[float]] = [[] for _ in tasks]
    for _ in range(REPEATS):
        for task, its in zip(tasks, times, strict=True):
            began = time.perf_counter()
            task()
            its.append(time.perf_counter() - began)
    return [float(np.median(its)) for its in times]


def fill_rate(J: Jacobian) -> tuple[float, float]:
    """Entries a second of a values-only fill, and its time over that of writing as many numbers."""
    data = np.zeros(J.nnz, J.dtype)

    def write(start: int, stop: int) -> None:
        data[start:stop] = 1.0

    fill, floor = median_seconds(lambda: J.fill(data), lambda: split(write, 0, J.nnz, J.nnz))
    return J.nnz / fill, fill / floor


def table_of(fits: list[Fit], J: Jacobian, best: float) -> Table:
    """What each face cost."""
    rate, ratio = fill_rate(J)
    table = Table(title="d(RᵀR)/dR inside scipy.optimize.least_squares")
    for name in ("", *(f.face for f in fits)):
        table.add_column(name, justify="left" if not name else "right")
    R_bytes = fits[0].solution.nbytes
    same = [f"{J.shape[0]:,} × {J.shape[1]:,}"] * len(fits)
    table.add_row("shape", *same)
    table.add_row("entries", *["none stored" if f.face == "operator" else f"{J.nnz:,}" for f in fits])
    table.add_row("bytes", *[f"{R_bytes if f.face == 'operator' else J.nbytes:,}" for f in fits])
    table.add_row("fill rate", *["–" if f.face == "operator" else f"{rate / 1e6:,.0f} M entries/s" for f in fits])
    table.add_row("fill ÷ write floor", *["–" if f.face == "operator" else f"{ratio:.2f}" for f in fits])
    table.add_row("evaluations", *[str(f.evaluations) for f in fits])
    table.add_row("cost", *[f"{f.cost:.9f}" for f in fits])
    table.add_row("cost − optimum", *[f"{f.cost - best:.1e}" for f in fits])
    table.add_row("solve time", *[f"{f.seconds * 1e3:,.1f} ms" for f in fits])
    table.caption = f"{thread_count()} threads in fills; optimum {best:.9f} from the eigenvalues of K"
    return table


def picture(fits: list[Fit], K: Array, J: Jacobian, best: float, output: Path) -> None:
    """Save the sparsity pattern, the cost per iteration, and K beside RᵀR."""
    mpl.use("Agg")
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    pattern, curve, given, found = figure.subplots(2, 2).flat
    n = K.shape[0]
    # the rows of the first few p tell the story; all n² are a grey square
    shown = J.rows(0, min(3, n) * n).tocoo()
    pattern.scatter(shown.col, shown.row, s=3, c=shown.data, cmap="coolwarm", marker="s", linewidths=0)
    pattern.set(
        title=f"∂K[p, q] / ∂R[i, j] for p < {min(3, n)}: colour is the value",
        xlabel=f"R[i, j], row by row ({J.shape[1]} columns in all)",
        ylabel=f"K[p, q], row by row ({J.shape[0]} rows in all)",
        xlim=(-0.5, J.shape[1] - 0.5),
        ylim=(min(3, n) * n - 0.5, -0.5),
    )
    pattern.set_facecolor("0.96")
    for one, style in zip(fits, ("-", "--"), strict=True):
        label = f"{one.face}: {one.seconds * 1e3:,.0f} ms"
        excess = np.maximum(np.array(one.costs) - best, 1e-16)
        curve.semilogy(range(1, len(excess) + 1), excess, style, lw=2.5 if style == "-" else 1.5, label=label)
    curve.set(title="Cost above the optimum", xlabel="iteration", ylabel="½‖RᵀR − K‖² − optimum")
    curve.legend()
    curve.grid(alpha=0.3)
    R = fits[0].solution
    for axes, matrix, title in ((given, K, "K, of the digits"), (found, R.T @ R, f"RᵀR, of rank {R.shape[0]}")):
        image = axes.imshow(matrix, vmin=0, vmax=float(K.max()), cmap="magma")
        axes.set(title=title, xlabel="pixel", ylabel="pixel")
        figure.colorbar(image, ax=axes, shrink=0.85)
    figure.savefig(output, dpi=120)


def run(rank: int, size: int, samples: int, seed: int, output: Path) -> None:
    """Fit through both faces, print the table and save the picture."""
    console = Console()
    K = gram_of_digits(size, samples)
    start = 0.1 * np.random.default_rng(seed).standard_normal((rank, size))
    best = 0.5 * float(np.sum(np.sort(np.linalg.eigvalsh(K))[: max(size - rank, 0)] ** 2))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    fits = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("compiling kernels (kept on disk for the next run)")
        J = d_gram_dR(start)
        J.tocsr()
        for face in ("operator", "refilled CSR"):

            def report(iteration: int, cost: float, face: str = face) -> None:
                progress.update(task, description=f"{face}: iteration {iteration}, cost {cost:.6f}")

            fits.append(fit(face, K, start, report))
        progress.update(task, description="drawing")
        J = d_gram_dR(fits[0].solution)
        picture(fits, K, J, best, output)
        progress.update(task, description="done", total=1, completed=1)
    console.print(table_of(fits, J, best))
    console.print(f"picture: {output}")
