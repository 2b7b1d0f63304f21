"""What a process of `tests.forked` has imported when it begins: all that commands import when they are called."""

import workers.jobs.analytics
import workers.jobs.crm  # noqa: F401
