"""What a process of `tests.forked` has imported when it begins: all that commands import when they are called."""

import deskbell.jobs.analytics
import deskbell.jobs.crm  # noqa: F401
