"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "now.title": ("Now", "现状"),
    "now.wrong": ("What needs you", "需要处理"),
    "now.right": ("Nothing is found to be wrong.", "未发现问题。"),
    "now.answers": ("Answers", "应答"),
    "now.answers.covers": ("In the last full minute; budget {budget} ms.", "上一个完整分钟；时限 {budget} 毫秒。"),
    "now.rate": ("a second", "每秒"),
    "now.half": ("half within", "半数不超过"),
    "now.most": ("99 % within", "99% 不超过"),
    "now.queues": ("Queues", "队列"),
    "now.queues.covers": (
        "Counts are of now; done and failed are attempts of the last full minute.",
        "数量为当前值；完成与失败为上一个完整分钟的执行次数。",
    ),
    "now.queue": ("queue", "队列"),
    "now.waiting": ("waiting", "等待"),
    "now.oldest": ("oldest", "最久"),
    "now.retry": ("retry", "待重试"),
    "now.held": ("held", "被阻塞"),
    "now.running": ("running", "执行中"),
    "now.done": ("done", "完成"),
    "now.failed": ("failed", "失败"),
    "now.dead": ("dead", "死信"),
    "now.workers": ("workers", "工作进程"),
}
