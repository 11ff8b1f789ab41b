"""Compiled kernels: arrays in, arrays filled.

The contract, for every kernel in this package:

- it takes input arrays, output arrays and a row range ``start, stop``; it fills the entries of those
  rows, from the beginning of the output arrays, and nothing else;
- it returns nothing, allocates nothing and checks nothing;
- it is serial and releases the GIL: whoever calls it splits the rows over threads, streams them in
  bounded memory, or partitions them over machines;
- it can be called from a user's own ``numba.njit`` code.

Rows of the Jacobian are pairs ``(i, j)``: row ``i`` of one factor meets row ``j`` of another. Every kernel
takes that map as three arguments: ``f, g`` list the pairs where they are not empty; otherwise row ``r`` is
the entry ``divmod(r, n)`` of a matrix with ``n`` columns. A listed row with a negative ``f`` has no entries.

Where rows do not follow one another in the output (another variable's entries stand between them), ``gap`` is
the number of entries between two rows, or ``ptr[r - start]`` says where row ``r`` begins; ``base`` is what to add to
column indices. An empty ``ptr`` and a ``gap`` and ``base`` of 0 are for a variable alone.
"""

from matjac.kernels.band import band_sums
from matjac.kernels.blocks import add_row_blocks
from matjac.kernels.boxes import box_minimize
from matjac.kernels.casesplit import casesplit_columns, casesplit_values
from matjac.kernels.cholesky import cholesky_factor, cholesky_solve, cholesky_solve_columns
from matjac.kernels.elimination import count_factor
from matjac.kernels.gram import gram_blocks
from matjac.kernels.kron import kron_columns, kron_values
from matjac.kernels.marquardt import marquardt_judge, marquardt_scale, marquardt_trial
from matjac.kernels.merge import merge_rows
from matjac.kernels.pick import pick_products, pick_values
from matjac.kernels.recurrence import recurrence
from matjac.kernels.schur import (
    SchurLists,
    SchurRows,
    schur_deal,
    schur_gather,
    schur_link,
    schur_lists,
    schur_owners,
    schur_reduce,
    schur_spread,
    schur_sums,
    schur_whiten,
)
from matjac.kernels.sddmm import sddmm, spmm
from matjac.kernels.separable import add_entries, add_products, normal_equations
from matjac.kernels.spgemm import count_entries, count_spgemm, scatter_entries, spgemm
from matjac.kernels.tiles import count_tiles
from matjac.kernels.triangle import copy_prefixes, mirror

__all__ = [
    "SchurLists",
    "SchurRows",
    "add_entries",
    "add_products",
    "add_row_blocks",
    "band_sums",
    "box_minimize",
    "casesplit_columns",
    "casesplit_values",
    "cholesky_factor",
    "cholesky_solve",
    "cholesky_solve_columns",
    "copy_prefixes",
    "count_entries",
    "count_factor",
    "count_spgemm",
    "count_tiles",
    "gram_blocks",
    "kron_columns",
    "kron_values",
    "marquardt_judge",
    "marquardt_scale",
    "marquardt_trial",
    "merge_rows",
    "mirror",
    "normal_equations",
    "pick_products",
    "pick_values",
    "recurrence",
    "scatter_entries",
    "schur_deal",
    "schur_gather",
    "schur_link",
    "schur_lists",
    "schur_owners",
    "schur_reduce",
    "schur_spread",
    "schur_sums",
    "schur_whiten",
    "sddmm",
    "spgemm",
    "spmm",
]
