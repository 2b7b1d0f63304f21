"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "shards.title": ("All shards", "所有分片"),
    "shards.shard": ("shard", "分片"),
    "shards.one": ("Shard {shard}", "分片 {shard}"),
    "shards.go": ("Go", "转到"),
    "shards.right": ("Nothing is found to be wrong on any shard that answers.", "有响应的分片均未发现问题。"),
    "shards.away": ("does not answer", "没有响应"),
    "shards.away.late": (
        "takes longer than a second and a half to answer",
        "响应时间超过一秒半",
    ),
    "shards.wrong.covers": (
        "A sentence that holds on several shards is said once. What can be done about it is on the page of each shard.",
        "多个分片上相同的问题只显示一次。处理方式见各分片的页面。",
    ),
    "shards.event.find": ("Find its call", "查找回调"),
    "shards.event.none": ("No shard knows this event.", "没有分片记录该事件。"),
    "shards.event.silent": (
        "No shard that answers knows this event. These did not answer: {shards}.",
        "有响应的分片均没有该事件。以下分片没有响应：{shards}。",
    ),
    "shards.sums": ("All shards together", "所有分片合计"),
    "shards.sums.covers": (
        (
            "Answers of all nodes, in the last full minute, as shard 0 counts them for all; jobs and workers of the "
            "{known} of {count} shards that have answered, now."
        ),
        (
            "应答为所有节点上一个完整分钟的数据，统一计在分片 0；"
            "任务与工作进程为 {count} 个分片中 {known} 个有响应者的当前值。"
        ),
    ),
    "shards.rows": ("Each shard", "各分片"),
    "shards.rows.covers": (
        (
            "Sums over the queues of a shard; the oldest is the one that waits longest. Of one that does not answer, "
            "what it told last."
        ),
        "为分片内各队列之和；最长等待取其中最大者。没有响应的分片显示其最近一次的数据。",
    ),
    "shards.state.good": ("nothing wrong", "正常"),
    "shards.state.problem": ("needs you", "需要处理"),
    "shards.state.warning": ("warning", "警告"),
}
