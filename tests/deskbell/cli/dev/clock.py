"""A clock under a test's control."""


class Clock:
    """Stands until it is set."""

    now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now
