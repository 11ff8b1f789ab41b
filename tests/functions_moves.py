"""Functions that move entries, join arrays, make and fill them: name → (function, shapes of its arguments)."""

import numpy as np

rng = np.random.default_rng(3)
W, A = rng.standard_normal((3, 4)), rng.standard_normal((3, 3))
mask = rng.random((3, 4)) < 0.5
order = rng.permuted(np.tile(np.arange(4), (3, 1)), axis=1)
X, Z, V = ((3, 4),), ((2, 3, 4),), ((5,),)
XY = ((3, 4), (3, 2))

MOVES = {
    # one array
    "rot90": (lambda X: np.rot90(X) * 2, X),
    "rot90 thrice, of a stack": (lambda Z: np.rot90(Z, 3, axes=(1, 2)), Z),
    "fliplr": (lambda X: np.fliplr(X) * W, X),
    "flipud": (lambda X: np.flipud(X) * W, X),
    "flip of two axes": (lambda Z: np.flip(np.sin(Z), axis=(0, -1)), Z),
    "swapaxes": (lambda Z: np.swapaxes(Z, 0, -1), Z),
    "swapaxes, the method": (lambda Z: np.tanh(Z).swapaxes(0, 1), Z),
    "rollaxis": (lambda Z: np.rollaxis(Z, 2), Z),
    "rollaxis to the end": (lambda Z: np.rollaxis(np.tanh(Z), 0, 3), Z),
    "moveaxis of two": (lambda Z: np.moveaxis(np.tanh(Z), (0, 1), (-1, 0)), Z),
    "roll": (lambda X: np.roll(X, 2), X),
    "roll rows": (lambda X: np.roll(np.tanh(X), -1, axis=0), X),
    "repeat": (lambda X: np.repeat(X, 2, axis=1), X),
    "repeat unevenly": (lambda X: np.tanh(X).repeat([1, 0, 2], axis=0), X),
    "tile": (lambda X: np.tile(X, (2, 1)), X),
    "resize": (lambda X: np.resize(X, (4, 5)), X),
    "take": (lambda X: X.take([[2, 0]], axis=1), X),
    "take, clipped": (lambda X: np.take(X, [5, -7, 1], axis=0, mode="clip"), X),
    "squeeze": (lambda X: np.squeeze(np.tanh(X)[:, None, :1]), X),
    "squeeze, the method": (lambda X: X[:, None].squeeze(1), X),
    "expand_dims": (lambda X: np.expand_dims(np.tanh(X), (0, 2)), X),
    "diagonal of a stack": (lambda Z: np.diagonal(Z, 1, 1, 2), Z),
    "linalg.diagonal": (lambda Z: np.linalg.diagonal(np.tanh(Z), offset=-1), Z),
    "diag with an offset": (lambda x: np.diag(np.tanh(x), 2), V),
    "diag of a matrix": (lambda X: np.diag(X @ X.T, -1), X),
    "diagflat": (lambda X: np.diagflat(X[:2, :2], 1), X),
    "delete": (lambda X: np.delete(np.tanh(X), [0, -1], axis=1), X),
    "delete a row": (lambda X: np.delete(X, 1, 0), X),
    "delete by a slice": (lambda X: np.delete(X, slice(1, 9, 2)), X),
    "take_along_axis": (lambda X: np.take_along_axis(X, order, axis=1), X),
    "compress": (lambda X: np.compress([True, False, True], X, axis=0), X),
    "compress, the method": (lambda X: X.compress([True, False, True], axis=0), X),
    "extract": (lambda X: np.extract(mask, np.tanh(X)), X),
    "boolean rows": (lambda X: X[np.array([True, False, True])], X),
    "ix_": (lambda X: X[np.ix_([2, 0], [1, 3])], X),
    "triu_indices_from": (lambda X: (X @ X.T)[np.triu_indices_from(X @ X.T, 1)], X),
    "diag_indices_from": (lambda X: (X @ X.T)[np.diag_indices_from(X @ X.T)], X),
    "mT of a stack": (lambda Z: Z.mT @ Z, Z),
    "matrix_transpose": (lambda Z: np.matrix_transpose(Z), Z),
    "linalg.matrix_transpose": (lambda Z: np.linalg.matrix_transpose(np.tanh(Z)), Z),
    "permute_dims": (lambda Z: np.permute_dims(Z, (2, 0, 1)), Z),
    "ravel of a transpose": (lambda X: X.T.ravel(), X),
    "flatten": (lambda X: X.flatten(order="F"), X),
    "broadcast_to": (lambda x: np.broadcast_to(x[:, None], (5, 2)), V),
    "atleast_1d": (lambda x: np.atleast_1d(np.tanh(x)), ((),)),
    "atleast_2d": (lambda x: np.atleast_2d(np.tanh(x)), V),
    "atleast_3d": (lambda X: np.atleast_3d(X), X),
    "atleast_2d of two": (lambda x, y: np.atleast_2d(x, y)[0].T @ np.atleast_2d(x, y)[1], ((2,), (3,))),
    "triu of a stack": (lambda Z: np.triu(Z, 1), Z),
    "tril of everything": (lambda X: np.tril(X, 5), X),
    "tril of nothing": (lambda X: np.tril(X, -5) + X[0], X),
    "vander": (lambda x: np.vander(x), ((3,),)),
    "vander, increasing": (lambda x: np.vander(x, 5, increasing=True), ((3,),)),
    # padding
    "pad": (lambda X: np.pad(np.tanh(X), 1), X),
    "pad unevenly": (lambda X: np.pad(X, ((0, 2), (1, 0))), X),
    "pad with a number": (lambda X: np.pad(X, ((0, 2), (1, 0)), constant_values=2.5), X),
    "pad with numbers": (lambda X: np.pad(X, 1, constant_values=((1, 2), (3, 4))), X),
    "pad by edges": (lambda X: np.pad(X, ((1, 0), (2, 1)), mode="edge"), X),
    "pad by reflection": (lambda X: np.pad(np.tanh(X), 2, mode="reflect"), X),
    "pad symmetrically": (lambda X: np.pad(X, 3, mode="symmetric"), X),
    "pad by wrapping": (lambda X: np.pad(X, (2, 3), mode="wrap"), X),
    "pad a product": (lambda X: np.pad(X @ X.T, ((1, 0), (0, 2))) @ np.ones(5), X),
    # several arrays
    "append": (lambda X: np.append(X, X[0] ** 2), X),
    "append columns": (lambda X, Y: np.append(X, np.tanh(Y), axis=1), XY),
    "append to a constant": (lambda X: np.append(W, X, axis=0), X),
    "append a number": (lambda x: np.append(x, 3.5), V),
    "insert": (lambda x: np.insert(x, 2, x[0] ** 2), V),
    "insert several": (lambda x: np.insert(x * x, [0, 2], np.stack([x[1], x[2] ** 2])), V),
    "insert at one place": (lambda x: np.insert(x[:2] ** 2, 1, np.sin(x)), V),
    "insert wider numbers": (lambda x: np.insert(x, [0, 2], np.array([1 / 3, 2 / 3])), V),
    "insert constants": (lambda X: np.insert(X, [1, 3], 5.0, axis=1), X),
    "insert rows": (lambda X: np.insert(X, 1, np.tanh(X[2]), axis=0), X),
    "block": (lambda X, Y: np.block([[X, Y], [Y.T, np.zeros((2, 3))]]), XY),
    "block of scalars": (lambda x: np.block([[x[0], x[1]], [2.0, x[2] * x[3]]]), V),
    "dstack": (lambda X: np.dstack([X, np.tanh(X), W]), X),
    "dstack of vectors": (lambda x: np.dstack((x, x**2)), V),
    "column_stack": (lambda x: np.column_stack([x, np.ones(5), np.tanh(x)]), V),
    "column_stack of a matrix": (lambda X: np.column_stack([X[:, 0], X]), X),
    "hstack of numbers": (lambda x: np.hstack([x[0] * x[1], 1.0, x]), V),
    "vstack of vectors": (lambda x: np.vstack([x, x**2, np.arange(5.0)]), V),
    "stack on the last axis": (lambda X: np.stack([X, W, np.tanh(X)], axis=-1), X),
    "concatenate, flat": (lambda X, Y: np.concatenate([X, np.tanh(Y)], axis=None), XY),
    "concatenate a list": (lambda x: np.concatenate([[x[0] ** 2, 1.0], x]), V),
    "r_": (lambda x: np.r_[x[0] * x[1], 2.0, x, np.zeros(2)], V),
    "c_": (lambda x: np.c_[x, np.tanh(x), np.arange(5.0)], V),
    "choose": (lambda x: np.choose([0, 1, 1, 0, 0], [x, x**2]), V),
    "select": (lambda X: np.select([mask, W > 0], [X, np.tanh(X)], 1.5), X),
    "select zeros": (lambda X: np.select([mask], [X]), X),
    "meshgrid": (lambda x, y: np.meshgrid(x, y)[0] * np.meshgrid(x, y)[1], ((2,), (3,))),
    "meshgrid, sparse": (
        lambda x, y: np.meshgrid(x, y, indexing="ij", sparse=True)[0] + np.meshgrid(x, y, indexing="ij")[1],
        ((2,), (3,)),
    ),
    "broadcast_arrays": (lambda x, X: np.multiply(*np.broadcast_arrays(x[:, None], X)), ((3,), (3, 4))),
    # into parts
    "split": (lambda X: np.multiply(*np.split(X, 2, axis=1)), X),
    "split at": (lambda x: np.split(np.tanh(x), [1, 3])[1], V),
    "array_split": (lambda x: np.concatenate(np.array_split(x, 3)[::-1]), V),
    "hsplit": (lambda X: np.hsplit(X, 2)[0] @ np.hsplit(X, 2)[1].T, X),
    "vsplit": (lambda X: np.vsplit(np.tanh(X), 3)[1] * X, X),
    "dsplit": (lambda Z: np.dsplit(Z, [1])[1], Z),
    "unpacked": (lambda x: np.stack([(a * b + c) for a, b, c in [x[:3]]]), V),
    "unstack": (lambda X: np.multiply(*np.unstack(X[:2])), X),
    "sliding windows": (lambda x: np.lib.stride_tricks.sliding_window_view(np.tanh(x), 3) @ np.ones(3), V),
    "fftshift": (lambda X: np.fft.fftshift(X, axes=0) * np.fft.ifftshift(W), X),
    "along an axis": (lambda X: np.apply_along_axis(lambda row: row[:2] * row[2], 1, X), X),
    "along the first axis": (lambda Z: np.apply_along_axis(lambda row: row @ row, 0, Z), Z),
    "flat": (lambda X: X.flat[3] * X.flat[[0, 5]], X),
    # made like others
    "zeros_like": (lambda X: np.zeros_like(X) + X, X),
    "full_like": (lambda X: np.full_like(X, 2.0) * X + np.ones_like(X), X),
    "full of a variable": (lambda x: np.full_like(x, x[0] ** 2, shape=(2, 2)), V),
    "copy": (lambda X: np.copy(X) * X.copy(), X),
    "asarray": (lambda X: np.asarray(X) * W, X),
    "asarray, like": (lambda X: np.asarray([X[0], X[1] ** 2], like=X), X),
    "array of products": (lambda x: np.array([x[0] * x[1], x[2], 1.0]), V),
    "rotation": (lambda t: np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) @ np.ones(2), ((),)),
    "array of rows": (lambda X: np.array([X[0], X[1] * X[2]]) * W[:2], X),
    "function of an array of objects": (lambda x: np.exp(np.array([x[0] * x[1], x[2]])), V),
    "sum of an array of objects": (lambda x: np.array([x[0] * x[1], x[2]]).sum() * x, V),
    "array of objects times an array": (lambda x: np.array([[x[0], x[1]], [0.0, x[2]]]) @ x[:2], V),
    "tolist": (lambda X: np.array(X.tolist()) ** 2, X),
    "item": (lambda x: x[1:2].item() * x, V),
    "item at a place": (lambda X: X.item(5) * X.T.item(1, 2) * X.item((-1, 0)) * X, X),
    "view": (lambda X: X.T.view() * 2, X),
    "choose a constant": (lambda x: np.choose([1, 1, 1, 1, 1], [x, np.arange(1.0, 6.0)]) * x, V),
    "tuple": (lambda X, Y: np.concatenate([X.ravel(), (Y**2).ravel()]), XY),
}


def filled(x):
    Y = np.zeros_like(x, shape=(3, 3))
    for i in range(3):
        Y[i, i] = x[i] ** 2
        Y[i, (i + 1) % 3] = x[i] * x[i + 1]
    return Y


def recurrence(x):
    y = np.empty_like(x)
    y[0] = x[0]
    for k in range(1, len(x)):
        y[k] = np.tanh(y[k - 1]) + x[k]
    return y


def later_writes_are_seen(X):
    Y = X * 2
    view, part = Y[1:, ::2], Y[[0, 1]]
    Y[1] = X[0] ** 2
    view[0, 0] += X[2, 2]
    return np.concatenate([view.ravel(), part.ravel(), Y.ravel()])


def through_views(X):
    Y = np.tanh(X)
    Y.T[0] = X[:, 1] ** 2
    Y.reshape(-1)[5:7] *= X[0, :2]
    np.flip(Y)[0, 0] = X[0, 0]
    np.split(Y, [1])[1][0, 1:3] -= 1
    return Y


def copies_stay(X):
    Y = X * 2
    rows, flat = Y[[0, 2]], Y.T.ravel()
    copied, fancy = Y.copy(), np.roll(Y, 1)
    Y[:] = 0
    rows[0] = X[1] ** 2
    return np.concatenate([rows.ravel(), flat, copied.ravel(), fancy.ravel(), Y.ravel()])


def in_place(X):
    Y = X.copy()
    Y += X[0]
    Y *= 2
    Y.flat[3] += X[2, 2]
    Y -= W
    Y /= 3
    Y **= 2
    return Y


def flat_values(X):
    """They are repeated where they are too few, and left out where they are too many."""
    Y, Z = np.tanh(X), X * 2
    Y.T.flat = 3.0
    Y[1:].flat = [1.0, X[0, 0] ** 2, 2.0]
    Y[:1].flat = []
    Z[:, 1:].flat = X.T
    return np.concatenate([Y, Z])


def laplacian(u):
    r = np.zeros_like(u)
    r[1:-1, 1:-1] = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
    r[0], r[-1], r[:, 0], r[:, -1] = u[0], u[-1], u[:, 0], u[:, -1]
    return r


def by_functions(X):
    Y = X * 1.0
    np.fill_diagonal(Y, X[0, 1] ** 2)
    np.put(Y, [5, 6], X[1, :2] * 3)
    np.copyto(Y, np.tanh(X), where=mask)
    np.put_along_axis(Y, order[:, :1], X[:, :1] * X[:, 1:2], axis=1)
    np.place(Y, W > 1, [X[0, 0], 2.0])
    np.putmask(Y, W < -1, X * X)
    return Y


def added_at(x):
    y = np.zeros_like(x, shape=4)
    np.add.at(y, [0, 1, 1, 3, 0], x**2)
    np.subtract.at(y, [[0], [2]], 2.0)
    return y


def quotient(X):
    return np.divide(X, W * 0 + np.where(mask, W, 0), out=np.zeros_like(X), where=mask)


def swapped(X):
    X = X.copy()
    X[[0, 2]] = X[[2, 0]]
    X[:, 0], X[:, 1] = X[:, 1].copy(), X[:, 0].copy()
    return X * X[0]


def filled_rows(X):
    Y = X * 1.0
    Y.view()[:1].fill(X[0, 1] ** 2)
    # what has more axes than it is written to, of length one
    Y[1], Y[2] = X[None, :1], np.ones((1, 1, 4))
    return Y * X


def overlapping(x):
    y = x * 1.0
    y[1:] = y[:-1]
    y[::-1][:2] += y[:2]
    return y


def the_last_one_stays(x):
    y = x * 1.0
    y[[0, 0, 1]] = x[:3] ** 2
    y[[2, 2]] += x[:2]
    return y


def an_argument(X):
    X[0] = X[1] * 2
    X += 1
    return X * X


def out(X):
    Y = np.zeros_like(X)
    np.exp(X / 2, out=Y)
    np.multiply(Y, X, out=Y[...])
    return Y


def filled_beside_what_was_written(X):
    Y = X * 1
    Y[:, 0] /= 2
    d, row = np.diagonal(Y), Y[1]
    parts = np.diag(d), np.pad(row, 2), np.diagflat(Y[:2, 0]), np.block([[Y[:, :1], np.zeros((3, 1))]])
    return np.concatenate([part.ravel() for part in parts])


ASSIGNED = {
    "zeros beside what was written": (filled_beside_what_was_written, X),
    "entries": (filled, ((4,),)),
    "a recurrence": (recurrence, V),
    "later writes are seen": (later_writes_are_seen, X),
    "through views": (through_views, X),
    "copies stay": (copies_stay, X),
    "flat values": (flat_values, X),
    "in place": (in_place, X),
    "laplacian": (laplacian, ((4, 5),)),
    "by functions": (by_functions, X),
    "added at": (added_at, V),
    "quotient": (quotient, X),
    "rows exchanged": (swapped, X),
    "filled rows": (filled_rows, X),
    "overlapping": (overlapping, V),
    "the last one stays": (the_last_one_stays, V),
    "an argument": (an_argument, X),
    "out=": (out, X),
}


def with_out(X):
    Y = np.zeros_like(X, shape=(3, 3))
    np.dot(X, X.T, out=Y)
    np.sum(X, axis=0, out=(Z := np.zeros_like(X))[1])
    np.concatenate([X[:1], X[1:2]], out=Z[1:], dtype=None)
    return np.concatenate([Y, Z], axis=1) * round(1.0 * Y[0, 0])


def clipped(X):
    Y = X * 1.0
    Y[Y < 0] = 0.0
    Y[Y > 1] = X[0, 0] ** 2
    np.copyto(Y, X * X, where=X > 0.5)
    np.putmask(Y, X < -0.5, np.tanh(X))
    Y[Y[:, 0] > 10] = 3.0
    return np.sqrt(X, where=X > 0.1, out=Y)


def sorted_in_place(X):
    Y = X * 1.0
    Y.T.sort()
    Y[:, 1:].partition(1, axis=1)
    return Y * X


#: What is not analytic.
REAL = {
    "sorted in place": (sorted_in_place, X),
    "joined in a given precision": (lambda X: np.concatenate([X, W], axis=-1, dtype=np.float64) * X[:, :1], X),
    "sorted into another array": (lambda X: np.real_if_close(np.sort(X, axis=0)) * X, X),
    "real part beside a conversion": (lambda X: np.real(np.exp(1j * X) * X.astype(np.float64)), X),
    "real part of a conversion": (lambda X: np.real(np.tril(X.astype(complex)) * (1 + 2j)) ** 2, X),
    "to another precision": (lambda X: X.astype(float) * 2, X),
    "to complex and back": (lambda X: np.exp(X.astype(float)) * (X > 0).astype(int), X),
    "clipped by assignment": (clipped, X),
    "functions with out=": (with_out, X),
    "in a given precision": (lambda X: np.exp(X, dtype=float) + np.stack([X, W], dtype=float)[0], X),
    "real part": (lambda X: X.real * np.real(X) + X.conj() + X.imag, X),
}


#: Where entries are stored that are zero at every point.
ZEROS_BY_VALUE = {"array of objects times an array"}
#: Where entries of float64 constants meet recorded ones singly, as Python numbers: float32 stays where NumPy widens it.
OBJECTS = {"asarray", "tolist", "rotation", "array of rows", "array of objects times an array"}
