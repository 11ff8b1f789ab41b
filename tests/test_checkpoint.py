"""A run that was ended goes on from its file with the same steps, bit for bit."""

import os
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matjac as mj
from matjac.solvers import least_squares, minimize
from matjac.solvers.checkpoint import replace

rng = np.random.default_rng(0)
M, N, K = 20, 10, 2
U, V = rng.standard_normal((M, K)), rng.standard_normal((N, K))
AT = np.nonzero(rng.random((M, N)) < 0.6)
Y = (U @ V.T)[AT] + 0.1 * rng.standard_normal(AT[0].size)
START = U + 0.5 * rng.standard_normal(U.shape), V + 0.5 * rng.standard_normal(V.shape)


def residuals(U, V):
    return np.concatenate([(U @ V.T)[AT] - Y, 0.5 * U.ravel(), 0.5 * V.ravel()])


FITS = {
    "lbfgs": {"method": "lbfgs", "eliminate": False},
    "robust": {"method": "lbfgs", "loss": "soft_l1", "eliminate": False},
    "bounds": {"method": "lbfgs", "bounds": (-1.5, 1.5), "eliminate": False},
    "eliminated": {"method": "lbfgs"},
    "gauss-newton": {"method": "gauss-newton"},
    "projected": {"method": "gauss-newton", "eliminate": "U"},
    "held": {"method": "gauss-newton", "bounds": (-1.5, 1.5)},
}


@pytest.mark.parametrize("stop", [2, 7])
@pytest.mark.parametrize("name", FITS)
def test_a_run_goes_on_with_the_same_steps(name, stop, tmp_path):
    F, path, options = mj.compile(residuals, (M, K), (N, K)), tmp_path / "state", FITS[name]
    start = [np.clip(x, -1.5, 1.5) for x in START]
    seen, first, then = [], [], []
    whole = least_squares(F, *start, progress=lambda at: seen.append(at.x), **options)

    def ends(at):
        first.append(at.x)
        return at.steps == stop

    cut = least_squares(F, *start, progress=ends, checkpoint=path, **options)
    assert not cut.success
    rest = least_squares(F, *start, progress=lambda at: then.append(at.x), checkpoint=path, **options)
    assert rest.success
    assert np.array(first + then).tobytes() == np.array(seen).tobytes()
    assert rest.nit == whole.nit
    assert rest.x.tobytes() == whole.x.tobytes()
    assert_allclose(rest.history[:, 1], whole.history[:, 1], rtol=0)
    assert (np.diff(rest.history[:, 0]) >= 0).all()


@pytest.mark.parametrize("name", ["lbfgs", "eliminated", "gauss-newton"])
def test_a_run_that_was_killed_goes_on_from_its_last_file(name, tmp_path):
    F, path, options = mj.compile(residuals, (M, K), (N, K)), tmp_path / "state", FITS[name]
    whole = least_squares(F, *START, **options)

    class Killed(BaseException):
        """What no one catches."""

    def kill(at):
        if at.steps == 6:
            raise Killed

    with pytest.raises(Killed):
        least_squares(F, *START, progress=kill, checkpoint=path, checkpoint_seconds=0, **options)
    rest = least_squares(F, *START, checkpoint=path, **options)
    assert (rest.x.tobytes(), rest.nit, rest.nfev) == (whole.x.tobytes(), whole.nit, whole.nfev)
    assert sorted(os.listdir(tmp_path)) == ["state"]


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-constr"])
def test_minimize_goes_on_from_the_point(method, tmp_path):
    F, path = mj.compile(lambda X: np.sum((X @ X.T - np.eye(3)) ** 2), (3, 3)), tmp_path / "state"
    X = np.eye(3) + 0.3 * rng.standard_normal((3, 3))
    whole = minimize(F, X, method=method)
    cut = minimize(F, X, method=method, progress=lambda at: at.steps == 4, checkpoint=path)
    points = []
    rest = minimize(F, X, method=method, progress=lambda at: points.append(at), checkpoint=path)
    assert points[0].value <= cut.history[-2, 1]
    assert_allclose(rest.fun, whole.fun, atol=1e-8)


def test_files_that_cannot_be_gone_on_from(tmp_path):
    F, path = mj.compile(residuals, (M, K), (N, K)), tmp_path / "state"
    with pytest.raises(TypeError, match=r"^checkpoint: got int 3, expected the path of a file"):
        least_squares(F, *START, checkpoint=3)
    with pytest.raises(ValueError, match=r"^checkpoint: got .*expected a file in a folder that there is"):
        least_squares(F, *START, checkpoint=tmp_path / "none" / "state")
    with pytest.raises(ValueError, match=r"^checkpoint_seconds: got -1, expected a number that is not negative"):
        least_squares(F, *START, checkpoint=path, checkpoint_seconds=-1)
    with pytest.raises(ValueError, match=r"^checkpoint: got .* for trf, which takes none"):
        least_squares(F, *START, checkpoint=path, method="trf")
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"which is none .*: remove it to begin anew"):
        least_squares(F, *START, checkpoint=path)
    path.unlink()
    least_squares(F, *START, checkpoint=path, method="lbfgs", progress=lambda at: at.steps == 3)
    with pytest.raises(ValueError, match=r"^checkpoint: got L-BFGS on .* with V eliminated, expected Gauss-Newton on"):
        least_squares(F, *START, checkpoint=path, method="gauss-newton")
    other = mj.compile(lambda U, V: 2 * residuals(U, V), (M, K), (N, K))
    with pytest.raises(ValueError, match=r"^checkpoint: got a point of value .*: remove the file to begin anew"):
        least_squares(other, *START, checkpoint=path, method="lbfgs")


def test_what_cannot_be_written_stops_a_run_at_the_last_good_point(tmp_path, monkeypatch):
    F, count = mj.compile(residuals, (M, K), (N, K)), []

    def full(*_):
        count.append(1)
        if len(count) > 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "state"
    fit = least_squares(F, *START, checkpoint=path, checkpoint_seconds=0, method="lbfgs")
    assert fit.message.startswith("checkpoint: [Errno 28] No space left on device")
    assert "last good point, of step 4" in fit.message
    # the file is that of the step before
    assert pickle.loads(path.read_bytes())[0]["counts"]["steps"] == 3


def test_a_file_is_replaced_at_once(tmp_path, monkeypatch):
    path = tmp_path / "state"
    replace(path, 1)
    monkeypatch.setattr(pickle, "dump", lambda value, file: file.write(b"half"))
    monkeypatch.setattr(os, "fsync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        replace(path, 2)
    assert pickle.loads(path.read_bytes()) == 1
