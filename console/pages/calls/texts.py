"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "calls.title": ("Calls", "回调"),
    "calls.event": ("Event's id", "事件 ID"),
    "calls.user": ("User: id or digest", "用户（ID 或摘要）"),
    "calls.session": ("Session", "会话"),
    "calls.node": ("Node", "节点"),
    "calls.outcome": ("Outcome", "结果"),
    "calls.any": ("any", "不限"),
    "calls.command": ("Command", "回调命令"),
    "calls.app": ("App (SdkAppid)", "应用（SdkAppid）"),
    "calls.at": ("At (UTC), ± 2 min", "时刻（UTC），±2 分"),
    "calls.since": ("Since (UTC)", "起始时间（UTC）"),
    "calls.until": ("Until (UTC)", "截止时间（UTC）"),
    "calls.find": ("Find", "查找"),
    "calls.all": ("All", "全部"),
    "calls.live": ("New ones are shown as they come; as of (UTC)", "新回调会实时显示；截至（UTC）"),
    "calls.full": (
        "Too many pages follow at once: this one is renewed every few seconds.",
        "实时查看的页面过多，本页每隔几秒刷新一次。",
    ),
    "calls.received": ("Received (UTC)", "接收时间（UTC）"),
    "calls.what": ("Node or command", "节点或命令"),
    "calls.who": ("User, session", "用户、会话"),
    "calls.asked": ("Asked", "传入"),
    "calls.told": ("Told", "返回"),
    "calls.characters": ("(length {count})", "（长度 {count}）"),
    "calls.code": ("code {code}", "错误码 {code}"),
    "calls.empty": ("(empty)", "（空）"),
    "calls.covers.all": (
        "{shown} shown: looked at {looked} records, all that there are for this; they are kept for {hours} hours.",
        "显示 {shown} 条：已查看全部 {looked} 条相关记录；记录最多保留 {hours} 小时。",
    ),
    "calls.covers.part": (
        "{shown} shown: looked at {looked} records, back to {time} UTC.",
        "显示 {shown} 条：已查看 {looked} 条记录，最早到 {time}（UTC）。",
    ),
    "calls.covers.live": ("New ones are added; the table keeps 200 rows.", "新回调会加入表格；表格最多保留 200 行。"),
    "calls.older": ("Look further back", "继续向前查找"),
    "calls.left_out": (
        "{count} more came at the same moment and are not shown: find them with a filter.",
        "同一时刻还有 {count} 条未显示，请用筛选条件查找。",
    ),
    "calls.wrong.long": (
        "{name}: expected 500 characters or less, got {got} characters.",
        "{name}：最多 500 个字符，实际为 {got} 个字符。",
    ),
    "calls.wrong.time": (
        "{name}: expected a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date; got “{got}”.",
        "{name}：应为 90s、15m、2h、7d、14:02 或 ISO 日期等时间，实际为“{got}”。",
    ),
    "calls.wrong.outcome": (
        "{name}: expected one of the list, got “{got}”.",
        "{name}：应为列表中的一项，实际为“{got}”。",
    ),
    "calls.wrong.both": (
        "{name}: expected this moment alone, or since when and until when; got “{got}” and another.",
        "{name}：只能单独填写，或改用起始与截止时间；实际为“{got}”并另有时间。",
    ),
    "calls.wrong.event": ("Event's id: expected 32 hex digits.", "事件 ID：应为 32 位十六进制数字。"),
}
