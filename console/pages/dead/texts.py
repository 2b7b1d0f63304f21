"""The texts of the pages."""

TEXTS: dict[str, tuple[str, str]] = {
    "dead.title": ("Dead letters", "死信"),
    "dead.groups": ("By cause", "按原因"),
    "dead.on": ("on", "队列"),
    "dead.cause.holds": ("cause holds", "原因包含"),
    "dead.since.ever": ("at any time", "不限"),
    "dead.since.span": ("last {span}", "最近 {span}"),
    "dead.filter.all": ("All {number} that the filter lets through:", "筛选出的全部 {number} 条："),
    "dead.all": ("All {number}:", "全部 {number} 条："),
    "dead.count": ("dead letters", "死信数"),
    "dead.of": ("{number} of {all}", "{number} / {all}"),
    "dead.first": ("first failed", "首次失败"),
    "dead.last": ("last failed", "最近失败"),
    "dead.spark": ("first to last failed", "首次至最近失败"),
    "dead.spark.text": (
        "Failures from {first} to {last}, in 24 equal spans; {most} in the fullest.",
        "{first} 至 {last} 的失败数，分为 24 段；最多一段为 {most}。",
    ),
    "dead.awaited": ("jobs behind", "后续任务"),
    "dead.sample": ("the latest, {id}…", "最新一条 {id}…"),
    "dead.unknown": (
        "No worker knew this job type. If it was renamed, replay them as the new one.",
        "没有工作进程声明过该任务类型。若已改名，请以新的任务类型重放。",
    ),
    "dead.unknown.command": (
        (
            "This console has none to offer: DESKBELL_JOBS must name the job types, and a living worker declare one of "
            "them. Or write, where it does:"
        ),
        (
            "本控制台没有可供选择的任务类型：需要用 DESKBELL_JOBS 指定任务类型，且有在线的工作进程声明其中之一。"
            "也可在满足条件的环境中执行："
        ),
    ),
    "dead.as": ("Replay as another job type", "以其他任务类型重放"),
    "dead.as.covers": (
        (
            "Those that DESKBELL_JOBS names here and a living worker declares. The event gets a job of that type, "
            "on that type's queue; the dead letter goes. A dry run comes first."
        ),
        (
            "列出此处 DESKBELL_JOBS 指定、且有在线工作进程声明的任务类型。事件会得到该类型的新任务，放入该类型的队列；"
            "原死信随即删除。先进行预演。"
        ),
    ),
    "dead.do": ("actions", "操作"),
    "dead.none": ("There are no dead letters.", "没有死信。"),
    "dead.none.filter": ("The filter lets none through.", "没有符合筛选条件的死信。"),
    "dead.counting": ("They are being counted: {counted} so far.", "正在统计：已统计 {counted} 条。"),
    "dead.counting.all": ("There are {all}.", "共 {all} 条。"),
    "dead.covers": (
        (
            "Counted at {time} UTC: all {all} dead letters, of every age; at this moment there are {now}. "
            "{shown} of {groups} groups are shown, the largest first."
        ),
        "统计于 {time}（UTC）：全部 {all} 条死信，不限时间；此刻共有 {now} 条。显示 {groups} 组中最大的 {shown} 组。",
    ),
    "dead.covers.events": (
        (
            "Counted at {time} UTC: {all} dead letters whose events have this node, user and session; of any there are "
            "{now} at this moment. {shown} of {groups} groups are shown, the largest first."
        ),
        (
            "统计于 {time}（UTC）：事件符合该节点、用户与会话的死信共 {all} 条；此刻全部死信共有 {now} 条。"
            "显示 {groups} 组中最大的 {shown} 组。"
        ),
    ),
    "dead.replay": ("Replay…", "重放…"),
    "dead.discard": ("Discard…", "丢弃…"),
    "dead.replay.many": ("Replay {number}", "重放 {number} 条"),
    "dead.discard.many": ("Discard {number}", "丢弃 {number} 条"),
    "dead.replay.sure": (
        "Put {number} dead letters back on their queues, with all their attempts?",
        "将 {number} 条死信放回队列，并重置其重试次数？",
    ),
    "dead.discard.sure": (
        "Delete {number} dead letters for good, with their events? What waits for them goes on.",
        "永久删除 {number} 条死信及其事件？等待它们的任务将继续执行。",
    ),
    "dead.group": ("Dead letters of one cause", "同一原因的死信"),
    "dead.group.none": ("At {time} UTC there was none left of this cause.", "截至 {time}（UTC），该原因已无死信。"),
    "dead.letters": ("The latest", "最新"),
    "dead.letters.covers": (
        "{shown} of {all}, those of the latest events; `deskbell dead list --ids` prints all ids.",
        "显示 {all} 条中事件最新的 {shown} 条；全部 ID 可用 `deskbell dead list --ids` 列出。",
    ),
    "dead.id": ("ID", "ID"),
    "dead.failed_at": ("failed", "失败时间"),
    "dead.letter": ("Dead letter", "死信详情"),
    "dead.failures": ("times it became dead (counted to 10)", "最终失败次数（最多记 10 次）"),
    "dead.attempts": ("attempts", "执行次数"),
    "dead.queued_at": ("queued", "入队时间"),
    "dead.worker": ("worker", "工作进程"),
    "dead.where": ("Where it was raised", "异常位置"),
    "dead.event": ("Event", "事件"),
    "dead.event.none": ("It cannot be read.", "无法读取。"),
    "dead.text": ("Failure", "失败信息"),
    "dead.text.none": ("There is none that may be shown.", "没有可显示的内容。"),
    "dead.masked": (
        "Personal values are shown as their lengths; of an event that is not on record, all values.",
        "个人信息仅显示长度；事件没有记录时，所有值均只显示长度。",
    ),
    "dead.revealed": ("As it is. That you saw it is recorded.", "原始内容。您的查看已被记录。"),
    "dead.lines": (
        "{most} lines of each at most, of which 1,000 characters each.",
        "各最多显示 {most} 行，每行最多 1,000 字符。",
    ),
    "dead.reveal.sure": (
        "Show what the customer wrote? That you saw it is recorded.",
        "显示客户所写内容？此次查看将被记录。",
    ),
    "dead.call": ("Its call", "对应的回调"),
    "dead.back": ("All dead letters", "全部死信"),
    "dead.plan.replay": ("Replay: what it would do", "重放：预演"),
    "dead.plan.discard": ("Discard: what it would do", "丢弃：预演"),
    "dead.plan.done.replay": ("would be replayed", "将被重放"),
    "dead.plan.done.discard": ("would be discarded", "将被丢弃"),
    "dead.plan.did.replay": ("replayed", "已重放"),
    "dead.plan.did.discard": ("discarded", "已丢弃"),
    "dead.plan.covers": (
        "A dry run of {time} UTC; nothing was done. What fails after {until} UTC is not touched.",
        "{time}（UTC）的预演，未做任何更改。{until}（UTC）之后的失败不受影响。",
    ),
    "dead.not.gone": ("not: somebody else was faster", "未处理：已被他人处理"),
    "dead.not.expired": ("not: the job is not there any more", "未处理：任务已不存在"),
    "dead.not.alive": ("not: queued or running already", "未处理：已在队列或执行中"),
    "dead.not.limited": ("not: under a rate limit of RQ's own", "未处理：受 RQ 自身限速"),
    "dead.not.there": ("not: the event has a job of that type", "未处理：事件已有该类型的任务"),
    "dead.not.misfit": ("not: the type does not subscribe to such an event", "未处理：该类型不订阅此类事件"),
    "dead.not.no_job": ("not: no job of a job type", "未处理：不是任务类型的任务"),
    "dead.rate": ("at most", "速率上限"),
    "dead.rate.none": ("all at once", "不限速"),
    "dead.rate.takes": ("{rate}, for {time}", "{rate}，约 {time}"),
    "dead.busy": (
        "This console does four things in the background already. Wait for one of them.",
        "本控制台已有四项后台操作。请等待其中一项结束。",
    ),
    "dead.begun": ("It has begun.", "已开始。"),
    "dead.run.leave": ("You may leave this page: it goes on.", "可以离开本页，操作会继续。"),
    "dead.run.left": ("time left", "按此速率尚需"),
    "dead.begun_already": (
        "Somebody does this already: nothing more was begun.",
        "已有人在执行同样的操作，没有重复开始。",
    ),
    "dead.stopping": ("It will end within a second or two.", "将在一两秒内结束。"),
    "dead.over": ("It had ended already.", "操作此前已结束。"),
    "dead.runs": ("Done lately", "最近的操作"),
    "dead.runs.none": ("Nothing was replayed or discarded lately.", "最近没有重放或丢弃。"),
    "dead.runs.covers": (
        "The last 5 replays and discards among the last 50 entries of the audit log.",
        "审计日志最近 50 条中的最后 5 次重放与丢弃。",
    ),
    "dead.run": ("Replay or discard", "重放或丢弃"),
    "dead.run.died": (
        "Not finished: the console that did it has ended. What is left is still a dead letter.",
        "未完成：执行操作的控制台已退出。剩余的仍是死信。",
    ),
    "dead.run.stopped": ("ended by {name}", "由 {name} 终止"),
    "dead.run.seen": ("looked at", "已查看"),
    "dead.run.total": ("of the dry run", "预演数量"),
    "dead.run.covers": (
        (
            "What was replayed or discarded is counted as it happens; the others when it has ended. What somebody else "
            "has replayed, discarded or forgotten since the dry run may not be looked at."
        ),
        "已重放或已丢弃的数量实时计入；其余在结束后给出。预演之后被他人重放、丢弃或抹除的死信可能不会再查看。",
    ),
    "dead.stop": ("End it", "终止"),
    "dead.again": ("Go on with the rest…", "继续处理剩余的…"),
}
