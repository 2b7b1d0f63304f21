"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "session.earlier": ("Earlier ones", "更早的回调"),
    "session.covers.all": (
        "{shown} callbacks, in their order: all that are on record, for {hours} hours at most.",
        "按顺序显示 {shown} 条回调：全部现有记录，最多保留 {hours} 小时。",
    ),
    "session.covers.part": (
        "{shown} callbacks, in their order; there are earlier ones.",
        "按顺序显示 {shown} 条回调；还有更早的。",
    ),
}
