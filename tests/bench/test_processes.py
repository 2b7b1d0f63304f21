"""bench/processes.py: what a process and those it started have used."""

import subprocess
import sys

from bench.processes import cpu_seconds

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_the_cpu_of_a_process_counts_what_its_ended_children_used() -> None:
    """A worker that forks for each job must not seem to cost nothing."""
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\nprint('done')\ninput()\n"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "done\n"

        used = cpu_seconds(process.pid)

        process.communicate("\n")
    assert used >= 0.3
