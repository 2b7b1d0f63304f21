"""What a process of `tests.forked` has imported when it begins: all that commands import when they are called."""

import deskbell.cli.api
import deskbell.cli.describe.command
import deskbell.cli.dev.command
import deskbell.cli.doctor
import deskbell.cli.main
import deskbell.cli.processes.api_process
import deskbell.cli.processes.worker_process
import deskbell.cli.send.deliveries
import deskbell.cli.send.load
import deskbell.cli.unknowns.report
import deskbell.cli.worker
import deskbell.jobs.analytics
import deskbell.jobs.crm  # noqa: F401
