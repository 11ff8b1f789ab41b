"""The main job: ``python -m matjac`` fits R to a Gram matrix and shows what each face of the Jacobian costs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

PICTURES = (".png", ".pdf", ".svg")


def positive(text: str) -> int:
    """An option's value: an integer of at least 1."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"got {text}, expected an integer of at least 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m matjac",
        description="Fit R (rank × size) so that RᵀR is near the Gram matrix of scikit-learn's handwritten digits, "
        "with scipy.optimize.least_squares: once through the matrix-free Jacobian, once through the sparse matrix "
        "refilled in place. Prints what each cost and saves a picture.",
    )
    result.add_argument("--rank", type=positive, default=10, help="rows of R (default 10)")
    result.add_argument(
        "--size", type=positive, default=64, help="pixels kept, the most varied first: columns of R (default 64, all)"
    )
    result.add_argument("--samples", type=positive, default=1797, help="digits the Gram matrix is of (default all)")
    result.add_argument("--seed", type=int, default=0, help="seed of the starting point (default 0)")
    result.add_argument(
        "--output", type=Path, default=Path("matjac.png"), metavar="FILE", help="the picture (default matjac.png)"
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the main job; returns the exit status."""
    command = parser()
    options = command.parse_args(arguments)
    if options.size > 64:
        command.error(f"argument --size: got {options.size}, expected at most 64: a digit has 8 × 8 pixels")
    if options.samples > 1797:
        command.error(f"argument --samples: got {options.samples}, expected at most 1797: there are no more digits")
    if options.size * options.rank < 2:
        command.error("argument --size: got 1 with --rank 1, expected at least two unknowns to fit")
    if options.seed < 0:
        command.error(f"argument --seed: got {options.seed}, expected at least 0")
    if not options.output.parent.is_dir() or options.output.suffix not in PICTURES:
        kinds = ", ".join(PICTURES)
        command.error(f"argument --output: got {options.output}, expected a file ({kinds}) in a folder that exists")
    try:
        from matjac import demo
    except ImportError as error:
        print(f'python -m matjac needs {error.name}: install it with  pip install "matjac[demo]"', file=sys.stderr)
        return 1
    demo.run(options.rank, options.size, options.samples, options.seed, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
