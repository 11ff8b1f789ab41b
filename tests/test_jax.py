"""Hessians beside ``jax.hessian``, where JAX is installed (``matjac[peers]``): the same functions, run by jax.numpy."""

import types
from pathlib import Path

import numpy as np
import pytest
from functions import FUNCTIONS
from numpy.testing import assert_allclose
from test_hessians import WITHOUT, random_weights
from test_points import at

import matjac as mj

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)


class Numpy:
    """jax.numpy, and NumPy for what that has not."""

    def __getattr__(self, name):
        return getattr(np if name == "random" else jax.numpy, name, None) or getattr(np, name)


def of_jax():
    """The functions of `functions.py` with another NumPy."""
    text = Path(__file__).with_name("functions.py").read_text().replace("import numpy as np\n", "")
    module = types.ModuleType("functions of JAX")
    vars(module)["np"] = Numpy()
    exec(compile(text, "functions.py", "exec"), vars(module))
    return module.FUNCTIONS


def of_jax_at(fun, arrays, w):
    """JAX's Hessian of the weighted sum by all variables."""
    arrays = [jax.numpy.asarray(x) for x in arrays]
    ends = np.cumsum([x.size for x in arrays])[:-1]

    def total(x):
        parts = [p.reshape(a.shape) for p, a in zip(jax.numpy.split(x, ends), arrays, strict=True)]
        return jax.numpy.sum(jax.numpy.asarray(w) * jax.numpy.ravel(fun(*parts)))

    return np.asarray(jax.hessian(total)(jax.numpy.concatenate([a.ravel() for a in arrays])))


@pytest.mark.slow
def test_at_least_forty_functions():
    """Some of them JAX can't run: those with scipy.sparse constants, say."""
    theirs, compared = of_jax(), 0
    for name in sorted(set(FUNCTIONS) - WITHOUT):
        fun, shapes = FUNCTIONS[name]
        F = mj.compile(fun, *shapes)
        w = random_weights(F)
        for kind in ("generic", "permuted"):
            try:
                wanted = of_jax_at(theirs[name][0], at(name, kind), w)
            except Exception:
                break
            scale = max(1.0, float(np.abs(wanted).max(initial=0)))
            found = F.hess(F.pack(*at(name, kind)), w)
            assert_allclose(found.toarray(), wanted, atol=1e-9 * scale, err_msg=name)
        else:
            compared += 1
    assert compared >= 40
