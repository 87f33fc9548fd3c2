"""How property tests run here: the same examples each time, few enough for the suite, never against the clock."""

from hypothesis import HealthCheck, settings

STEADY = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
