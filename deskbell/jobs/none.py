"""No job type: what `deskbell dev` gives its worker when only handlers are set, so that events leave their queue."""

from shared.jobs.jobs import Jobs

jobs = Jobs()
