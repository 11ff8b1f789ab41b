"""Jacobians put together at random: taken from, scaled, stacked, composed, transposed, refilled, beside dense matrices.

A long run: ``MATJAC_FUZZ=10000 python -m pytest -n auto -m slow tests/test_machines.py tests/test_programs.py``.
"""

import numpy as np
import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from measures import LONG
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac.conventions import same_vector

#: Entries of a matrix up to which more is made of it.
LARGEST = 1500
FUNCTIONS = (
    lambda X: X * X,
    lambda X: X.T @ X,
    lambda X: np.where(X > 0, X, 0.5 * X * X),
    lambda X: np.tril(X) @ np.triu(X).T if X.shape[0] == X.shape[1] else X[:1],
    lambda X: np.sum(X, axis=0),
    lambda X: X[:, ::-1].T.copy(),
)
numbers = st.sampled_from((2.0, -1, 0.0, 0.5j, np.float32(3)))
seeds = st.integers(0, 2**16)


class Machine(RuleBasedStateMachine):
    """Jacobians of one order, each beside its matrix in numerator layout."""

    made = Bundle("made")

    @initialize(order=st.sampled_from("CF"))
    def begin(self, order):
        self.order = order

    def keep(self, J, D):
        assert J.shape == (D.shape if J.layout == "numerator" else D.shape[::-1])
        assert J.order == self.order
        return J, D

    @staticmethod
    def tolerance(J):
        return 1e-4 if J.dtype.char in "fF" else 1e-11

    def close(self, J, found, expected):
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        assert_allclose(found, expected, rtol=0, atol=self.tolerance(J) * scale)

    @rule(
        target=made,
        m=st.integers(0, 4),
        n=st.integers(1, 4),
        seed=seeds,
        which=st.integers(0, 8),
        kind=st.sampled_from("dfDi"),
    )
    def make(self, m, n, seed, which, kind):
        rng = np.random.default_rng(seed)
        X = rng.integers(-3, 4, (m, n)).astype(kind)
        X = X + X * 0.5j if kind == "D" else X
        if which < len(FUNCTIONS):
            J = mj.compile(FUNCTIONS[which], (max(m, 1), n), order=self.order).jacobian(
                np.resize(X, (max(m, 1), n)).real
            )
        elif which == 6:
            J = mj.d_matmul_dA(X, 2, order=self.order)
        elif which == 7:
            J = mj.d_gram_dR(X, order=self.order)
        else:
            J = mj.d_elementwise_dX(X, order=self.order)
        return self.keep(J, J.toarray())

    @rule(target=made, pair=made, seed=seeds, mask=st.booleans())
    def take(self, pair, seed, mask):
        J, D = pair
        rng = np.random.default_rng(seed)
        rows = rng.random(D.shape[0]) < 0.5 if mask else rng.integers(0, max(D.shape[0], 1), min(D.shape[0], 5))
        return self.keep(J.take(rows), D[rows])

    @rule(target=made, pair=made, seed=seeds)
    def scale(self, pair, seed):
        J, D = pair
        s = np.random.default_rng(seed).integers(-2, 3, D.shape[0]) * 0.5
        return self.keep(mj.scale_rows(J, s), s[:, None] * D)

    @rule(target=made, pair=made, number=numbers)
    def times(self, pair, number):
        J, D = pair
        return self.keep(number * J, number * D)

    @rule(target=made, pair=made)
    def transpose(self, pair):
        return self.keep(pair[0].T, pair[1])

    @rule(target=made, pair=made)
    def conjugate(self, pair):
        # the adjoint, transposed back
        return self.keep(pair[0].H.T, pair[1].conj())

    @rule(target=made, one=made, other=made, sign=st.sampled_from((1, -1)))
    def add(self, one, other, sign):
        (J, D), (K, E) = one, other
        if (J.in_shape, J.out_shape, J.layout) != (K.in_shape, K.out_shape, K.layout):
            with pytest.raises(ValueError, match=r"expected the same"):
                _ = J + K
            return one
        return self.keep(J + K if sign > 0 else J - K, D + sign * E)

    @rule(target=made, one=made, other=made, stack=st.sampled_from((mj.vstack, mj.hstack)))
    def stack(self, one, other, stack):
        (J, D), (K, E) = one, other
        shapes = [(A.in_shape if stack is mj.vstack else A.out_shape, A.layout) for A in (J, K)]
        if shapes[0] != shapes[1]:
            with pytest.raises(ValueError, match=r"^jacobians\[1\]: got"):
                stack([J, K])
            return one
        if D.size + E.size > LARGEST:
            return other
        return self.keep(stack([J, K]), (np.vstack if stack is mj.vstack else np.hstack)([D, E]))

    @rule(target=made, one=made, other=made)
    def compose(self, one, other):
        (J, D), (K, E) = one, other
        outer, inner = (J, K) if J.layout == "numerator" else (K, J)
        if J.layout != K.layout or not same_vector(outer.in_shape, inner.out_shape):
            with pytest.raises(ValueError, match=r"^(layout|J1 @ J2): got"):
                _ = J @ K
            return one
        return self.keep(J @ K, D @ E if J.layout == "numerator" else E @ D)

    @rule(pair=made)
    def refill(self, pair):
        J, _ = pair
        A = J.tocsr()
        data, wanted = A.data.copy(), A.toarray()
        A.data[:] = np.nan
        assert J.tocsr(out=A) is A
        assert_array_equal(A.data, data)
        own = A.copy()
        own.data[:] = 7
        J.tocsr(out=own)
        buffer = np.full(2 * J.nnz, 7, J.dtype)
        J.fill(buffer[::2])
        assert_array_equal(buffer[::2], data)
        assert np.all(buffer[1::2] == 7)
        assert_array_equal(own.toarray(), wanted)

    @rule(pair=made, seed=seeds)
    def look(self, pair, seed):
        J, D = pair
        D = D if J.layout == "numerator" else D.T
        rng = np.random.default_rng(seed)
        v, u = rng.standard_normal(D.shape[1]), rng.standard_normal(D.shape[0])
        A = J.tocsr()
        assert A.has_canonical_format
        assert A.nnz == J.nnz
        start, stop = sorted(rng.integers(0, D.shape[0] + 1, 2).tolist())
        assert_array_equal(J.rows(start, stop).toarray(), A[start:stop].toarray())
        assert_array_equal(J.tocsc().toarray(), A.toarray())
        for found, expected in (
            (A.toarray(), D),
            (J @ v, D @ v),
            (J.T @ u, D.T @ u),
            (J.rmatvec(u), D.conj().T @ u),
            (J.column_norms(), np.linalg.norm(D, axis=0)),
        ):
            self.close(J, found, expected)

    @rule(pair=made)
    def normal(self, pair):
        J, D = pair
        D = D if J.layout == "numerator" else D.T
        if D.size <= LARGEST:
            self.close(J, J.normal().toarray(), D.conj().T @ D)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=12, deadline=None, derandomize=True)


#: Machines of one run at length: Hypothesis remembers all that it drew.
EACH = 100


@pytest.mark.slow
@pytest.mark.parametrize("part", range(max(LONG, EACH) // EACH))
def test_at_length(part):
    machine = seed(part)(type("Long", (Machine,), {}))
    run_state_machine_as_test(machine, settings=settings(max_examples=EACH, stateful_step_count=25, deadline=None))
