"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "audit.title": ("Audit", "审计"),
    "audit.when": ("when (UTC)", "时间（UTC）"),
    "audit.who": ("who", "操作人"),
    "audit.what": ("what", "操作"),
    "audit.what.all": ("anything", "不限"),
    "audit.which": ("which", "对象"),
    "audit.many": ("how many", "数量"),
    "audit.end": ("end", "结果"),
    "audit.end.done": ("done", "完成"),
    "audit.end.interrupted": ("interrupted", "中断"),
    "audit.end.refused": ("refused", "被拒绝"),
    "audit.end.running": ("running", "进行中"),
    "audit.end.unfinished": ("not finished", "未完成"),
    "audit.end.open": ("no end noted", "未记录结束"),
    "audit.more": ("details", "详情"),
    "audit.none": ("There is no such entry.", "没有符合条件的记录。"),
    "audit.older": ("Older", "更早"),
    "audit.newest": ("The newest", "最新"),
    "audit.covers": (
        (
            "{shown} of {found} that fit, among {searched} entries since {oldest} UTC. Entries are kept for 90 days. "
            "Where no end is noted, a command in a terminal is still under way, or was killed."
        ),
        (
            "显示符合条件的 {found} 条中的 {shown} 条，查找范围为 {oldest}（UTC）以来的 {searched} 条。记录保留 90 天。"
            "未记录结束的条目：终端中的命令可能仍在执行，也可能已被强制终止。"
        ),
    ),
}
