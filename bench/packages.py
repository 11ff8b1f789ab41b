"""The functions that are compared, as other packages write them; their matrices are column by column."""

import numpy as np
import pytest


def of_engine(e, name, shapes, A, B, rows, columns):
    """SparseDiffEngine's variables and the node of a function, by its bindings."""
    total = sum(int(np.prod(s)) for s in shapes)
    starts = np.cumsum([0, *[np.prod(s) for s in shapes]]).tolist()
    x = [e.make_variable(*s, start, total) for s, start in zip(shapes, starts, strict=False)]
    if name == "gram":
        return x, e.make_matmul(e.make_transpose(x[0]), x[0])
    if name == "congruence":
        left = e.make_left_matmul(None, x[0], "dense", np.ascontiguousarray(A).ravel(), *A.shape)
        return x, e.make_matmul(e.make_transpose(x[0]), left)
    if name == "tanh":
        bt = np.ascontiguousarray(B.T)
        return x, e.make_tanh(e.make_right_matmul(None, x[0], "dense", bt.ravel(), *bt.shape))
    if name == "masked":
        product = e.make_matmul(x[0], e.make_transpose(x[1]))
        return x, e.make_index(product, rows.size, 1, (columns * shapes[0][0] + rows).astype(np.int32))
    return pytest.skip("no division of a matrix by its rows' sums")


def of_casadi(ca, name, x, A, B, data, rows, columns):
    """CasADi's expression of a function, as a vector."""
    if name == "gram":
        node = x[0].T @ x[0]
    elif name == "congruence":
        node = x[0].T @ (ca.DM(A) @ x[0])
    elif name == "tanh":
        node = ca.tanh(x[0] @ ca.DM(B.T))
    elif name == "masked":
        node = ca.vec(x[0] @ x[1].T)[(columns * x[0].size1() + rows).tolist()]
    else:
        E = ca.exp(ca.DM(data) @ x[0])
        node = E / ca.repmat(ca.sum2(E), 1, x[0].size2())
    return ca.vec(node)
