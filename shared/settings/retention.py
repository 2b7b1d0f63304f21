"""The settings of how long what is known of users is kept; docs/how-to/data-protection.md has every data set."""

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings


class RetentionSettings(BaseSettings):
    """Those beside `DEDUP_SECONDS`, how long answers are remembered."""

    record_hours: PositiveInt = Field(
        default=72, description="Hours for which callbacks and their jobs stay on record, for `deskbell events`."
    )
    record_mb: PositiveInt = Field(
        default=128,
        description="About how many megabytes of Redis' memory the records may take, some 2,400 callbacks each; the "
        "oldest make room. Give api and workers the same.",
    )
    record_values: bool = Field(
        default=False,
        description="`1` records the values of all variables and the user's id; by default those of variables that are "
        "declared and not `Personal`.",
    )
    dead_days: PositiveInt | None = Field(
        default=None,
        description="Days after which a dead letter is discarded, counted from the receipt of its event; by default it "
        "stays until a person replays or discards it. Give all workers the same.",
    )
    analytics_days: PositiveInt | None = Field(
        default=None,
        description="Days after which the job type `analytics.event` deletes rows, counted from the receipt; they "
        "stay by default.",
    )
