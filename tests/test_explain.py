"""`explain`: what is said to be costly, where it is and where it is not."""

import re

import numpy as np
import pytest

import matjac as mj

W, v = np.arange(12.0).reshape(3, 4), np.ones(3)
COSTLY = {
    "general product": (lambda X: np.linalg.inv(np.tanh(X)), ((3, 3),), "entries of step 2, a general product of 81"),
    "inverse": (lambda A, B: np.linalg.inv(A) @ B, ((2, 2), (2, 3)), r"step 2, an inverse .*np\.linalg\.solve"),
    "stack times a constant": (lambda T: T @ W, ((5, 2, 3),), "step 1, 5 small products with one matrix"),
    "stack times a variable": (lambda T, W: T @ W, ((5, 2, 3), (3, 4)), "step 3, 5 small products with one matrix"),
    "matrix equation": (
        lambda X: mj.linalg.solve_sylvester(np.diag(np.arange(1.0, 34)), np.eye(33), X),
        ((33, 33),),
        "step 1, solve sylvester of 1,089 numbers: .* its 1,089 columns one by one",
    ),
    "numbers": (lambda x: sum(x[k] * x[k + 1] for k in range(20)), ((21,),), "steps make one number each"),
}
PLAIN = {
    "solve": (lambda A, B: np.linalg.solve(A, B), ((2, 2), (2, 3))),
    "an inverse that is used twice": (lambda A, B: np.linalg.inv(A) @ B + np.linalg.inv(A)[:, :1], ((2, 2), (2, 3))),
    "stack of both": (lambda S, T: S @ T, ((5, 2, 3), (5, 3, 2))),
    "one product": (lambda T: T.reshape(-1, 3) @ W, ((5, 2, 3),)),
    "small matrix equation": (lambda X: mj.linalg.solve_sylvester(np.eye(3), np.eye(3), X), ((3, 3),)),
    "few numbers": (lambda x: x[0] * x[1] + x[2], ((3,),)),
    "Gram": (lambda R: R.T @ R, ((3, 4),)),
}


@pytest.mark.parametrize("name", COSTLY)
def test_what_is_costly_is_named_with_what_is_cheaper(name):
    fun, shapes, advice = COSTLY[name]
    lines = [line for line in mj.compile(fun, *shapes).explain().splitlines() if line.startswith("costly: ")]
    assert len(lines) == 1
    assert re.search(advice, lines[0]), lines[0]


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_not(name):
    fun, shapes = PLAIN[name]
    assert "costly" not in mj.compile(fun, *shapes).explain()
