"""The names that docs/reference/protocol.md lists: commands, events, fields and system variables."""

from deskbell.simulator.packets import packet_of
from shared.wire.commands import COMMANDS, MemberEvent, SessionEvent, TaskFlowEvent, event_class
from shared.wire.events import Field
from shared.wire.protocol import API_CALL, SYSTEM_VARIABLES

EVENTS = {
    SessionEvent.COMMANDS[0]: frozenset({"SessionBegin", "ChatBot.UserSendMsg", "ChatBot.RobotSendMsg"}),
    TaskFlowEvent.COMMANDS[0]: frozenset({"TaskBegin"}),
    MemberEvent.COMMANDS[0]: frozenset({"Member.StatusChange"}),
}
"""The values of `Event` that a page names, by command (PROTOCOL §3.3)."""

VARIABLES = frozenset(SYSTEM_VARIABLES)
"""The system variables that a page names (PROTOCOL §3.1)."""


def fields_of(command: str) -> frozenset[str]:
    """The fields of a command's packet that a page names; of a command that none names, those that every packet has."""
    if command not in COMMANDS:
        return frozenset({"CallbackCommand", "EventTime"})
    read = [] if command == API_CALL else vars(event_class(command)).values()
    return frozenset(packet_of(command)) | {each.name for each in read if isinstance(each, Field)}
