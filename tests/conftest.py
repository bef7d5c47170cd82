"""Hypothesis profiles: `everyday` by default, `thorough` on request.

    pytest                                  # 30 examples of every property, the same in every run
    pytest --hypothesis-profile=thorough    # 10,000 examples, others in every run

The environment variable HYPOTHESIS_PROFILE chooses as well.
"""

import gc
import itertools
import os

# The arrays here are small: a second thread costs more than it brings, and where it has to wait for
# a core, a hundred times more. NumPy's BLAS reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, Phase, settings

# How long an example takes depends on the machine and its load: no test fails for it.
settings.register_profile("timeless", deadline=None, suppress_health_check=[HealthCheck.too_slow])
_timeless = settings.get_profile("timeless")
settings.register_profile("everyday", _timeless, max_examples=30, derandomize=True, print_blob=True)
settings.register_profile("thorough", _timeless, max_examples=10_000, print_blob=True)
# For mutation.py, which wants to know whether a test fails, not by what.
_everyday = settings.get_profile("everyday")
settings.register_profile("unshrunk", _everyday, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))


def pytest_collection():
    """In a process that runs tests; the one that hands them out to others needs no torch."""
    import torch

    torch.set_num_threads(1)
    # No collection has to look through all of torch. What the tests import comes later: the checker
    # asks the collector for their functions, and would not be told of frozen ones.
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def counting_clock():
    """A search ends after so many looks at the clock: on every machine, it finds the same."""
    looks = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.thread_time", lambda: next(looks) / 2000)
        yield
