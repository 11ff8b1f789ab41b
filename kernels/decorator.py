"""The project's one way to compile a function."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numba

Kernel: TypeAlias = Callable[..., Any]


def kernel(function: Kernel, *, reassociate: bool = False) -> Kernel:
    """Compile `function` as a serial kernel that releases the GIL.

    Machine code is kept on disk between processes. Numba raises at decoration where no folder can be
    written for it; then every process compiles for itself, and the import still works.

    With `reassociate` its sums may be taken in another order, as a BLAS does: only then are they vector sums.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if reassociate:
        options["fastmath"] = {"reassoc", "contract", "nsz"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
