"""The project's one way to compile a function."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numba

Kernel: TypeAlias = Callable[..., Any]


def kernel(function: Kernel, *, reassociate: bool = False) -> Kernel:
    """Compile `function` as a serial kernel that releases the GIL.

    Machine code is kept on disk between processes. Numba raises at decoration where no folder can be
    written for it; then every process compiles for itself, and the import still works. So it does where
    the disk is full, or what is kept there cannot be read.

    With `reassociate` its sums may be taken in another order, as a BLAS does: only then are they vector sums.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if reassociate:
        options["fastmath"] = {"reassoc", "contract", "nsz"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
    if hasattr(compiled, "_cache"):  # not where kernels are interpreted
        _forgive(compiled._cache)
    return compiled  # type: ignore[no-any-return]


def _forgive(cache: Any) -> None:
    """Compile anew where a cache cannot be read, and go on where it cannot be written: Numba raises at the call."""
    load, save = cache.load_overload, cache.save_overload

    def load_overload(*given: Any) -> Any:
        try:
            return load(*given)
        except Exception:  # whatever a broken file makes of pickle and LLVM
            with contextlib.suppress(OSError):
                cache.flush()
            return None

    def save_overload(*given: Any) -> None:
        with contextlib.suppress(OSError):
            save(*given)

    cache.load_overload, cache.save_overload = load_overload, save_overload
