"""How hard hypothesis tries: profiles, and a measure for tests that set their own number of examples."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

_EXAMPLES: Final = {"full": 100, "quick": 20}


def register_profiles() -> None:
    """`full` is what counts; `quick` (``--hypothesis-profile=quick``) is for the minute before a commit."""
    for name, examples in _EXAMPLES.items():
        # Machines that run many tests at once are slow at moments of their own choosing: a deadline would test the
        # machine.
        settings.register_profile(
            name,
            max_examples=examples,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            print_blob=True,
        )
    settings.load_profile("full")


def examples(full: int) -> int:
    """How many examples the profile in force makes of ``full`` ones; for ``settings(max_examples=…)``."""
    assert settings.default is not None
    return max(1, full * settings.default.max_examples // _EXAMPLES["full"])
