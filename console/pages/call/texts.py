"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "call.title": ("Call", "回调"),
    "call.none": (
        "No record of the callback: it was never kept, or more than {hours} hours ago, or it made room.",
        "没有该回调的记录：可能从未保存、已超过 {hours} 小时，或因空间不足已被清除。",
    ),
    "call.elsewhere": ("Look for it on all shards", "在所有分片中查找"),
    "call.nothing": ("nothing", "无"),
    "call.code": ("Code", "错误码"),
    "call.handler": ("Handler", "处理耗时"),
    "call.info": ("ErrorInfo", "ErrorInfo"),
    "call.values.covers": (
        "Up to 50 variables each way, 256 characters of each; of a personal value, the length.",
        "每个方向最多 50 个变量，每个值最多 256 个字符；个人信息只显示长度。",
    ),
    "call.reveal.note": ("This is recorded in the audit log.", "此操作会记入审计日志。"),
    "call.reveal.admin": (
        "Personal values are on record; an admin may reveal them.",
        "已记录个人信息，仅管理员可显示。",
    ),
    "call.revealed": ("Personal values are shown; recorded for {name}.", "已显示个人信息，并以 {name} 记入审计日志。"),
    "call.hide": ("Hide them", "隐藏"),
    "call.timeline": ("Timeline", "时间线"),
    "call.received": ("Received", "收到回调"),
    "call.accepted": ("Accepted", "已接受"),
    "call.checked": (
        "App, packet, and signature where it is required, were checked; what fails is not on record.",
        "已校验应用、数据包，以及签名（如要求）；未通过校验的回调不留记录。",
    ),
    "call.answered": ("Answered", "已应答"),
    "call.kept": ("Kept on Redis", "已写入 Redis"),
    "call.spooled": (
        "Until then it waited on the api's disk, or the clocks differ.",
        "此前暂存在 API 服务的本地磁盘上，或两端时钟不一致。",
    ),
    "call.again": ("The delivery came again and got the same answer", "重复投递，返回相同应答"),
    "call.attempt": ("attempt {number}", "第 {number} 次执行"),
    "call.next": ("Next try", "下次重试"),
    "call.timeline.covers": (
        (
            "{shown} of {count} attempts and repetitions; an attempt is on record some seconds after its end. Times "
            "are by the clocks of the api, of Redis and of the workers, in UTC."
        ),
        (
            "显示 {count} 次执行与重复投递中的 {shown} 次；执行结束数秒后才会记录。"
            "时间为 API 服务、Redis 与工作进程各自的时钟（UTC）。"
        ),
    ),
    "call.jobs": ("Jobs", "任务"),
    "call.status": ("status", "状态"),
    "call.own": ("the event's own job", "事件的分发任务"),
    "call.gone": ("ended, and gone from RQ", "已结束，RQ 中不再保留"),
    "call.jobs.covers": (
        "{shown} of {count} jobs, as RQ has them now; those that have ended are gone some minutes later.",
        "显示 {count} 个任务中的 {shown} 个（RQ 当前状态）；已结束的任务数分钟后消失。",
    ),
}
