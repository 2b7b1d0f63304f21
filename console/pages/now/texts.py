"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "now.title": ("Now", "当前状态"),
    "now.wrong": ("What needs you", "需要处理"),
    "now.right": ("Nothing is found to be wrong.", "未发现问题。"),
    "now.wrong.covers": (
        "Queues as of {time} UTC. The rest of `deskbell doctor`: {looked}.",
        "队列截至 {time}（UTC）。`deskbell doctor` 的其余检查：{looked}。",
    ),
    "now.looked": ("{time} UTC", "{time}（UTC）"),
    "now.looking": ("under way", "正在进行"),
    "now.more": (
        "{count} more are not shown: `deskbell doctor` lists all.",
        "另有 {count} 条未显示：请用 `deskbell doctor` 查看全部。",
    ),
    "now.why": ("Why", "原因"),
    "now.answers": ("Answers", "应答"),
    "now.answers.covers": (
        (
            "Of all nodes, in the last full minute, which began at {minute} UTC; the budget is {budget} ms. Times are "
            "upper bounds of buckets."
        ),
        "所有节点，自 {minute}（UTC）起的上一个完整分钟；时限为 {budget} 毫秒。耗时取直方图桶的上限。",
    ),
    "now.answers.none": ("No callback in the last full minute.", "上一个完整分钟内没有回调。"),
    "now.answers.elsewhere": (
        "Answers of all shards are counted on shard 0: see All shards.",
        "所有分片的应答都计在分片 0 上：见“所有分片”。",
    ),
    "now.rate": ("callbacks", "回调"),
    "now.all": ("Altogether", "合计"),
    "now.spool": ("in spools", "磁盘暂存"),
    "now.spool.oldest": ("the oldest for", "最长暂存时间"),
    "now.hosts": ("APIs", "API 主机"),
    "now.heard": ("last heard of", "最近上报"),
    "now.all.covers": (
        "Jobs of all queues below, now; spools as their apis last told Redis, which each does every ten seconds.",
        "下列所有队列的当前值；暂存量为各 API 服务最近一次上报的值（每十秒上报一次）。",
    ),
    "now.queues.covers": (
        (
            "Counts are of now; oldest is the time since the first job was queued, for a retry anew. Done and failed "
            "are attempts of the last full minute, which began at {minute} UTC; drained in is until the last job that "
            "waits now has begun, if attempts go on at that rate."
        ),
        (
            "数量为当前值；最长等待指队首任务自最近一次入队（重试时重新计时）至今的时间。完成与失败为自 "
            "{minute}（UTC）起上一个完整分钟的执行次数；预计清空指按该速度，当前等待的最后一个任务开始执行所需的时间。"
        ),
    ),
    "now.waiting": ("waiting", "等待"),
    "now.oldest": ("oldest", "最长等待"),
    "now.retry": ("retry", "待重试"),
    "now.held": ("held", "被阻塞"),
    "now.running": ("running", "执行中"),
    "now.done": ("done", "完成"),
    "now.failed": ("failed", "失败"),
    "now.drained": ("drained in", "预计清空"),
    "now.dead": ("dead", "死信"),
    "now.workers": ("workers", "工作进程"),
    "now.pictures": ("The last hours", "最近几小时"),
    "now.pictures.covers": (
        "Since {time} UTC, in steps of five minutes; the last step is not over and is dashed.",
        "自 {time}（UTC）起，每五分钟一点；最后一点尚未结束，以虚线表示。",
    ),
    "now.chart.callbacks": ("Callbacks a minute", "每分钟回调数"),
    "now.chart.answered": ("Time to the answer; the dashed line is the budget", "应答耗时，虚线为时限"),
    "now.chart.waits": ("Time until a job first begins", "任务首次开始前的等待时间"),
    "now.chart.attempts": ("Attempts a minute", "每分钟执行次数"),
    "now.line.callbacks": ("all", "全部"),
    "now.line.not_good": ("refused or failed", "被拒绝或失败"),
    "now.line.wait": ("99 % within, of jobs that have begun", "P99（已开始的任务）"),
    "now.line.oldest": ("the oldest that waits now", "当前等待最久的任务"),
}
