import os

# tests run side by side, and threads of products would wait for one another; NumPy reads it when it is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import pytest
from hypothesis import HealthCheck, settings
from measures import LONG

# compiling a kernel takes seconds, so no example has a deadline
settings.register_profile(
    "matjac",
    deadline=None,
    max_examples=max(LONG, 30),
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=LONG == 0,
)
settings.load_profile("matjac")


@pytest.fixture
def compiled():
    """For tests of speed, memory or size that mean nothing in interpreted kernels."""
    if numba.config.DISABLE_JIT:
        pytest.skip("kernels are interpreted")
