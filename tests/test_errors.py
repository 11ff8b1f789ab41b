"""The arguments: a bad argument is named, with what came and what was expected, before any work."""

import numpy as np
import pytest
import scipy.sparse as sp

import matjac as mj

R = np.arange(6.0).reshape(2, 3)
J = mj.d_gram_dR(R)

BAD = [
    ("R is a vector", lambda: mj.d_gram_dR(np.ones(3)), ValueError, r"^R: got 1 dimensions .*\(3,\).* expected a 2-D"),
    ("R is 3-D", lambda: mj.d_gram_dR(np.ones((2, 2, 2))), ValueError, r"^R: .*expected a 2-D array"),
    ("R is a number", lambda: mj.d_gram_dR(3.0), ValueError, r"^R: got 0 dimensions"),
    ("R is text", lambda: mj.d_gram_dR([["a"]]), TypeError, r"^R: got dtype <U1, expected .*float64"),
    ("R is objects", lambda: mj.d_gram_dR(np.array([[None]])), TypeError, r"^R: got dtype object"),
    ("R is a date", lambda: mj.d_gram_dR(np.array([["2020-01-01"]], "M8[D]")), TypeError, r"^R: got dtype datetime64"),
    ("R is None", lambda: mj.d_gram_dR(None), TypeError, r"^R: got dtype object"),
    ("R is ragged", lambda: mj.d_gram_dR([[1.0], [1.0, 2.0]]), ValueError, r"^R: .*rectangular"),
    ("R is sparse", lambda: mj.d_gram_dR(sp.eye_array(3)), TypeError, r"^R: got .*, expected a dense array"),
    ("R is masked", lambda: mj.d_gram_dR(np.ma.ones((2, 2))), TypeError, r"^R: got MaskedArray"),
    ("R is wide", lambda: mj.d_gram_dR(np.ones((2, 2), np.clongdouble)), TypeError, r"^R: got dtype complex256"),
    ("x is a matrix", lambda: mj.d_matvec_dA(R, 2), ValueError, r"^x: got 2 dimensions .* expected a 1-D array"),
    ("m is a float", lambda: mj.d_matvec_dA([1.0], 2.0), TypeError, r"^m: got float 2.0, expected an integer"),
    ("m is a bool", lambda: mj.d_matvec_dA([1.0], True), TypeError, r"^m: got bool True"),
    ("m is negative", lambda: mj.d_matvec_dA([1.0], -1), ValueError, r"^m: got -1, expected a size"),
    ("order", lambda: mj.d_gram_dR(R, order="K"), ValueError, r"^order: got 'K', expected one of 'C', 'F'"),
    ("order is None", lambda: mj.d_gram_dR(R, order=None), ValueError, r"^order: got None"),
    (
        "layout",
        lambda: mj.d_matvec_dA([1.0], 1, layout="num"),
        ValueError,
        r"^layout: got 'num', expected one of",
    ),
    ("vector too long", lambda: J @ np.ones(7), ValueError, r"^x: got shape \(7,\), expected \(6,\)"),
    ("matvec", lambda: J.matvec(np.ones(5)), ValueError, r"^x: got shape \(5,\), expected \(6,\)"),
    ("matvec of a matrix", lambda: J.matvec(np.ones((6, 2))), ValueError, r"^x: got shape \(6, 2\), expected \(6,\)"),
    ("rmatvec", lambda: J.rmatvec(np.ones(6)), ValueError, r"^x: got shape \(6,\), expected \(9,\)"),
    ("matmat", lambda: J.matmat(np.ones((5, 2))), ValueError, r"^X: got shape \(5, 2\), expected \(6, k\)"),
    ("matmat of a vector", lambda: J.matmat(np.ones(6)), ValueError, r"^X: got shape \(6,\), expected \(6, k\)"),
    ("rmatmat", lambda: J.rmatmat(np.ones((6, 2))), ValueError, r"^X: got shape \(6, 2\), expected \(9, k\)"),
    ("product with text", lambda: J @ np.array(["a"] * 6), TypeError, r"^x: got dtype <U1"),
    ("product with objects", lambda: J @ np.array([None] * 6), TypeError, r"^x: got dtype object"),
    ("product with sparse", lambda: J @ sp.eye_array(6), TypeError, r"^x: got .*expected a dense array"),
    ("transposed", lambda: J.T @ np.ones(6), ValueError, r"^x: got shape \(6,\), expected \(9,\)"),
    ("from the left", lambda: np.ones(6) @ J, ValueError, r"^x: got shape \(6,\), expected \(9,\)"),
    ("jvp", lambda: J.jvp(np.ones((3, 2))), ValueError, r"^dX: got shape \(3, 2\), expected \(2, 3\)"),
    ("vjp", lambda: J.vjp(np.ones((2, 3))), ValueError, r"^W: got shape \(2, 3\), expected \(3, 3\)"),
    ("fill a list", lambda: J.fill([0.0] * 30), TypeError, r"^data: got list"),
    ("fill short", lambda: J.fill(np.zeros(29)), ValueError, r"^data: got .*\(29,\).* expected shape \(30,\)"),
    ("fill float32", lambda: J.fill(np.zeros(30, "f4")), ValueError, r"^data: .*float32, expected .*float64"),
    ("rows reversed", lambda: J.rows(3, 2), ValueError, r"^start, stop: got 3, 2, expected 0 <= start <= stop <= 9"),
    ("rows beyond", lambda: J.rows(0, 10), ValueError, r"^start, stop: got 0, 10"),
    (
        "a flag is text",
        lambda: mj.unknowns.lower(2, "no"),
        TypeError,
        r"^positive_diagonal: got str 'no', expected True",
    ),
    ("a flag is 1", lambda: mj.unknowns.diagonal(2, 1), TypeError, r"^positive: got int 1, expected True or False"),
    ("S is NaN", lambda: mj.unknowns.affine([[np.nan], [1]], np.ones(2)), ValueError, r"^S: .*expected finite numbers"),
    (
        "an unknown that is not made",
        lambda: mj.compile(np.tanh, mj.unknowns.symmetric),
        TypeError,
        r"^examples\[0\]: got symmetric, which is not called, expected an array, a shape or an unknown",
    ),
    ("rows by float", lambda: J.rows(0.0, 1), TypeError, r"^start: got float 0.0"),
]


@pytest.mark.parametrize(("act", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_a_read_only_buffer_is_refused_and_kept():
    data = np.zeros(30)
    data.flags.writeable = False
    with pytest.raises(ValueError, match=r"^data: got a read-only array"):
        J.fill(data)
    assert not data.any()
