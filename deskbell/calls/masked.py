"""A callback without its personal values, as it would be on record without `DESKBELL_RECORD_VALUES`."""

from dataclasses import replace

from shared.records.packing import digest
from shared.records.query import Call, PersonalText, Values


def masked(call: Call) -> Call:
    """The callback: a digest for the user's id, of personal values their length."""
    user = digest("user", call.user).hex() if isinstance(call.user, PersonalText) else call.user
    info = "" if isinstance(call.info, PersonalText) else call.info
    return replace(call, user=user, info=info, asked=_masked(call.asked), answered=_masked(call.answered))


def has_personal_values(call: Call) -> bool:
    """Whether any are on record."""
    texts = (call.user, call.info, *call.asked.values(), *call.answered.values())
    return any(isinstance(each, PersonalText) for each in texts)


def _masked(values: Values) -> Values:
    return {name: len(value) if isinstance(value, PersonalText) else value for name, value in values.items()}
