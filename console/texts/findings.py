"""What `deskbell doctor` finds, in Chinese, by the English form of each sentence: `shared/sentences.py`."""

FINDINGS: dict[str, str] = {
    "{text}; {do}": "{text}；{do}",
    # deskbell/queues: why a queue does not move
    "all workers are suspended by `rq suspend`: no job is begun": (
        "所有工作进程都被 `rq suspend` 挂起：不会开始任何任务"
    ),
    "write `rq resume`": "请执行 `rq resume`",
    "the queue {queue} is paused{by}{since}: no job of it is begun": (
        "队列 {queue} 已暂停{by}{since}：不会开始其中的任务"
    ),
    " by {name}": "，操作人 {name}",
    " since {when:%Y-%m-%d %H:%M:%S} UTC": "，自 {when:%Y-%m-%d %H:%M:%S}（UTC）起",
    "write `deskbell queues resume {queue}`": "请执行 `deskbell queues resume {queue}`",
    "a key of the queue {queue} has a foreign type: what reads it stands still": (
        "队列 {queue} 的某个键类型不符：读取它的进程都会停滞"
    ),
    "write `deskbell doctor {queue}`, which names the key": "请执行 `deskbell doctor {queue}`，它会指出是哪个键",
    (
        "the queue {queue} is paused since {since:%H:%M:%S} UTC, because jobs of {job} keep failing ({cause}); one is "
        "tried at {until:%H:%M:%S}"
    ): (
        "队列 {queue} 自 {since:%H:%M:%S}（UTC）起被熔断器暂停，因为 {job} 任务连续失败（{cause}）；将于 "
        "{until:%H:%M:%S} 试探执行一个"
    ),
    "mend what the cause names: the queue goes on when that one succeeds": (
        "请排除原因所指的故障：试探成功后队列自动恢复"
    ),
    "no living worker reads the queue {queue}{silent}": "没有在线的工作进程读取队列 {queue}{silent}",
    " ({count} gave no sign of life lately)": "（{count} 个近期无心跳）",
    "start `deskbell worker {queue}`": "请启动 `deskbell worker {queue}`",
    (
        "the worker {worker} has given no sign of life for {age:.0f} s: it was killed or is frozen, a job blocks its "
        "event loop, or it does not reach Redis"
    ): ("工作进程 {worker} 已 {age:.0f} 秒没有心跳：可能进程已被终止或冻结、有任务阻塞了事件循环，或无法连接 Redis"),
    "see loop_blocked or redis_away in its log": "请查看其日志中的 loop_blocked 或 redis_away",
    "all {slots} slots of the workers {workers}{more} are taken, here by {jobs}{stragglers}": (
        "工作进程 {workers}{more} 的 {slots} 个槽位已全部占用，本队列占用者：{jobs}{stragglers}"
    ),
    " and {count} more": " 等（另有 {count} 个）",
    "; {count} more functions go on after their job's time": "；另有 {count} 个函数在任务超时后仍在运行",
    "start another `deskbell worker {queue}`, or raise --concurrency": (
        "请再启动一个 `deskbell worker {queue}`，或调大 --concurrency"
    ),
    "jobs of other queues": "其他队列的任务",
    "{count} of {name}": "{name}×{count}",
    "{types}, the first for {seconds:.0f} s": "{types}，最早的已执行 {seconds:.0f} 秒",
    "{count} jobs ({types}) were under way in workers that died or were cut off": (
        "{count} 个任务（{types}）的租约已失效：执行它们的工作进程已退出或失联"
    ),
    (
        "wait: a worker of the queue {queue} puts them back within {seconds} s of its start, or of the end of an "
        "outage of Redis"
    ): ("请等待：队列 {queue} 的工作进程会在其启动或 Redis 恢复后的 {seconds} 秒内将这些任务放回队列"),
    "{count} jobs of {job} wait": "{count} 个 {job} 任务在等待",
    "{count} jobs of a newer release wait": "{count} 个较新版本的任务在等待",
    "{jobs}: a living worker of the queue {queue} has what they need, and recalls them": (
        "{jobs}：队列 {queue} 已有在线的工作进程满足要求，会将其召回"
    ),
    "{count} jobs of {job} wait, and no living worker of the queue {queue} declares that type{since}": (
        "{count} 个 {job} 任务在等待，队列 {queue} 没有在线的工作进程声明该类型{since}"
    ),
    (
        "deploy a worker that does, within a day, or they are dead letters; if the type was renamed, write "
        "`deskbell dead replay --job {job} --as NEW`"
    ): (
        "请在一天内部署声明该类型的工作进程，否则这些任务会成为死信；若该类型已改名，请执行 "
        "`deskbell dead replay --job {job} --as NEW`"
    ),
    (
        "{count} jobs of a newer release wait, and no living worker of the queue {queue} reads form {form} of events"
        "{since}"
    ): ("{count} 个较新版本的任务在等待，队列 {queue} 没有在线的工作进程能读取第 {form} 版事件格式{since}"),
    "deploy workers of that release, within a day; then these are dead letters": (
        "请在一天内部署该版本的工作进程，逾期这些任务会成为死信"
    ),
    "{count} jobs are queued again while they run, and wait for that to end ({id})": (
        "{count} 个任务在执行中又被放入队列，等待本次执行结束（{id}）"
    ),
    (
        "the first {window} jobs are all of {types}, which has a limit: a claim looks no further, so {count} jobs "
        "behind them wait, too"
    ): ("队首 {window} 个任务全部属于有限制的 {types}：领取任务时只检查到这里，因此其后的 {count} 个任务也在等待"),
    "give that type a queue of its own": "请为该类型设置单独的队列",
    "{held} jobs are held, {count} of the first {first} behind the dead letter {id} ({cause})": (
        "{held} 个任务被阻塞，前 {first} 个中有 {count} 个排在死信 {id}（{cause}）之后"
    ),
    "cause unknown": "原因未知",
    "write `deskbell dead replay {id}`, or `dead discard`": "请执行 `deskbell dead replay {id}` 或 `dead discard`",
    "{held} jobs wait for earlier ones of their key: of the first, {what}": (
        "{held} 个任务在等待同一分区键的前序任务；最前面的任务中：{what}"
    ),
    "{count} behind one that {does}": "{count} 个的前序任务{does}",
    "waits itself": "仍在队列中",
    "runs": "正在执行",
    "is to be tried again": "等待重试",
    "is held itself": "也被阻塞",
    "is gone": "已不存在",
    "{count} jobs wait for their next try, the first at {at} UTC ({of}{why})": (
        "{count} 个任务等待重试，最早的在 {at}（UTC）（{of}{why}）"
    ),
    "{count} of the first {first}: ": "前 {first} 个中的 {count} 个：",
    "the attempt before failed": "上一次执行失败",
    "the worker that took it lacks what it needs": "领取它的工作进程不具备所需的任务类型或版本",
    "{cause}, since {at} UTC; such waits use up no attempt, for a day at most": (
        "{cause}，自 {at}（UTC）起；此类等待不消耗执行次数，最长一天"
    ),
    "another job of its key runs": "同一分区键的另一个任务正在执行",
    "an earlier job of its key is still to run": "同一分区键的前序任务尚未执行",
    "an earlier Seq of its execution has not come: it is waited for {seconds} s": (
        "同一次执行中更早的 Seq 尚未到达：最多等待 {seconds} 秒"
    ),
    "an earlier event of its key has no job yet, and is waited for {seconds} s: see `deskbell doctor {queue}`": (
        "同一分区键的前序事件尚未分发出任务，最多等待 {seconds} 秒：参见 `deskbell doctor {queue}`"
    ),
    "{count} jobs of {job} wait for its limit, {starts} starts in {seconds:g} s; the next one starts at {at} UTC": (
        "{count} 个 {job} 任务因限速而等待（每 {seconds:g} 秒 {starts} 个）；下一个在 {at}（UTC）开始"
    ),
    "{count} jobs of {job} wait for its limit, {most} at once, of which {taken} are taken{gone}": (
        "{count} 个 {job} 任务因并发限制而等待（同时 {most} 个，已占用 {taken} 个）{gone}"
    ),
    "; {count} of them are of jobs that do not run: free at {at}": "；其中 {count} 个的任务并未执行，将于 {at} 释放",
    "jobs that wait for their next try are due since {seconds:.0f} s, and no worker has queued them": (
        "待重试的任务已到期 {seconds:.0f} 秒，却没有工作进程将其放入队列"
    ),
    (
        "jobs that wait for their next try are due since {seconds:.0f} s, and no worker has queued them: a scheduler "
        "that may have died has the lock for {lock:.0f} s more"
    ): (
        "待重试的任务已到期 {seconds:.0f} 秒，却没有工作进程将其放入队列：调度锁由可能已退出的调度器持有，还有 "
        "{lock:.0f} 秒"
    ),
    "jobs that wait for their next try are due since {seconds:.0f} s: the scheduler of a worker is behind": (
        "待重试的任务已到期 {seconds:.0f} 秒：工作进程的调度器来不及处理"
    ),
    "wait: then a living worker takes over by itself": "请等待：之后在线的工作进程会自动接管",
    "dead letters, which nothing tries again: {each}": "有死信，不会再自动重试：{each}",
    "{count:,} on the queue {queue}": "队列 {queue} 有 {count:,} 条",
    "see `deskbell dead list`": "参见 `deskbell dead list`",
    (
        "no api runs, so nothing answers Desk: the last, on the host {host}, was told to end at "
        "{at:%Y-%m-%d %H:%M:%S} UTC"
    ): ("没有 API 服务在运行，Desk 的回调无人应答：最后一个在主机 {host}，于 {at:%Y-%m-%d %H:%M:%S}（UTC）被要求退出"),
    (
        "no api has been heard of since {at:%Y-%m-%d %H:%M:%S} UTC, on the host {host}: none runs, so that nothing "
        "answers Desk, or none can write to Redis"
    ): (
        "自 {at:%Y-%m-%d %H:%M:%S}（UTC，主机 {host}）以来没有 API 服务上报：可能没有 API 服务在运行，Desk 的回调无人应"
        "答，或 API 服务无法写入 Redis"
    ),
    "start `deskbell api`, or see redis_away and redis_refuses in its log": (
        "请启动 `deskbell api`，或查看其日志中的 redis_away 与 redis_refuses"
    ),
    "start `deskbell api`": "请启动 `deskbell api`",
    "no worker runs: events are accepted, and nothing is done for them": (
        "没有工作进程在运行：事件会被接收，但不会被处理"
    ),
    "no living worker reads {queues}": "没有在线的工作进程读取{queues}",
    "the queue {queue}": "队列 {queue}",
    "the queues {queues}": "队列 {queues}",
    (
        "events wait on the queue {queue}, {count:,} of them, the first for {seconds:.0f} s: jobs of this queue may "
        "be made from them"
    ): ("队列 {queue} 有 {count:,} 个事件在等待，最早的已等待 {seconds:.0f} 秒：本队列的任务可能由它们产生"),
    "see `deskbell doctor {queue}`": "参见 `deskbell doctor {queue}`",
    # deskbell/cli/doctor
    "{what} Redis did not tell: {error}": "{what}Redis 未给出答复：{error}",
    "Which server it is.": "服务器版本：",
    "Whether Redis takes events: the api's own script, with none in it, as this command's user and as the api's.": (
        "Redis 是否接收事件："
    ),
    "What an acknowledgement is worth.": "应答的持久性：",
    "Whether Redis has forgotten what it had acknowledged.": "Redis 是否丢失了已确认的写入：",
    "How soon Redis answers this host.": "Redis 对本机的响应时间：",
    "Which commands have taken long on Redis within the last hour.": "最近一小时 Redis 的慢命令：",
    "What Redis itself saw that made it late.": "Redis 自身记录的延迟：",
    "How much memory Redis has left.": "Redis 的剩余内存：",
    "How far the clock of this host is from that of Redis.": "本机与 Redis 的时钟偏差：",
    "Whether jobs are lost, of one queue or of all.": "是否有丢失的任务：",
    "How far the clocks of the hosts of apis and workers are from that of Redis.": "各主机与 Redis 的时钟偏差：",
    "Which hosts of the api have events in their spools, or have gone without a word.": (
        "各 API 主机的暂存事件与在线状态："
    ),
    "Whether each key has its type; of the keys of queues, those of all, or of those that the workers of one read.": (
        "各键的类型是否正确："
    ),
    "How much the caches hold that handlers and job types declare here.": "缓存用量：",
    "Which tokens are not used any more, or not yet, while another of the same app is.": "未使用的令牌：",
    "Redis takes no events{who}: {error}": "Redis 拒绝事件{who}：{error}",
    " as this command's user": "（以本命令的用户）",
    " as the api's user": "（以 API 服务的用户）",
    "its memory is full: raise maxmemory, or see what fills it": "内存已满：请调大 maxmemory，或查明占用内存的内容",
    "it is a replica: DESKBELL_REDIS_URL must lead to the master": "它是副本：DESKBELL_REDIS_URL 必须指向主节点",
    "its user may do too little: see docs/how-to/operate.md": "用户权限不足：参见 docs/how-to/operate.md",
    "see user and password in the URL": "请检查 URL 中的用户和密码",
    "fewer replicas have what was written than DESKBELL_MIN_REPLICAS asks for": (
        "已收到写入的副本少于 DESKBELL_MIN_REPLICAS 的要求"
    ),
    (
        "Redis took {took} ms for a connection and an empty call{who}; the api waits DESKBELL_REDIS_TIMEOUT_MS, {ms}, "
        "for each"
    ): ("Redis 建立连接并执行空调用用了 {took} 毫秒{who}；API 服务每次只等待 DESKBELL_REDIS_TIMEOUT_MS（{ms} 毫秒）"),
    "the api cannot note when a token was used: {error}": "API 服务无法记录令牌的使用时间：{error}",
    "set it by NTP, and see that NTP runs": "请用 NTP 校时，并确认 NTP 正在运行",
    "the clock of this host is {apart} that of Redis": "本机时钟比 Redis {apart}",
    "{seconds:.1f} s behind": "慢 {seconds:.1f} 秒",
    "{seconds:.1f} s ahead of": "快 {seconds:.1f} 秒",
    (
        "the clock of the host {host} is {apart} that of Redis: its api refuses callbacks from 60 s on, and its "
        "workers begin retries early or late"
    ): ("主机 {host} 的时钟比 Redis {apart}：偏差达到 60 秒后其 API 服务会拒绝回调，其工作进程的重试会提前或推迟"),
    (
        "{events} events waited in the spool {folder} of the host {host} at {at:%Y-%m-%d %H:%M:%S} UTC, and no api "
        "runs there"
    ): (
        "主机 {host} 的暂存目录 {folder} 在 {at:%Y-%m-%d %H:%M:%S}（UTC）还有 {events} 个事件等待，而那里没有 API 服务"
        "在运行"
    ),
    "start one with that DESKBELL_SPOOL_DIR to drain them": "请以该 DESKBELL_SPOOL_DIR 启动 API 服务以排空暂存",
    (
        "{events} events wait in the spool {folder} of the host {host}, the first for {seconds:.0f} s, though Redis "
        "answers: its api still drains them, or cannot write to Redis, so that no job is made of them"
    ): (
        "主机 {host} 的暂存目录 {folder} 有 {events} 个事件等待，最早的已等待 {seconds:.0f} 秒，而 Redis 有响应：其 "
        "API 服务仍在排空，或无法写入 Redis，因而不会产生任务"
    ),
    "see redis_away and redis_refuses in its log": "请查看其日志中的 redis_away 与 redis_refuses",
    "{events} events wait in the spool {folder} of the host {host}": (
        "主机 {host} 的暂存目录 {folder} 有 {events} 个事件等待"
    ),
    (
        "the api of the host {host} was last heard of at {at:%Y-%m-%d %H:%M:%S} UTC, and was not told to end: what it "
        "kept in its spool {folder} afterwards is there alone"
    ): (
        "主机 {host} 的 API 服务最后一次心跳在 {at:%Y-%m-%d %H:%M:%S}（UTC），并非正常停止：此后写入暂存目录 {folder} "
        "的事件只存在于该处"
    ),
    "Which processes go on after SIGHUP with the settings and code of before.": "SIGHUP 后仍使用旧设置与代码的进程：",
    (
        "the api of the host {host} goes on with its old settings and code: at {at:%Y-%m-%d %H:%M:%S} UTC a new "
        "process did not start"
    ): "主机 {host} 的 API 服务仍在使用旧的设置与代码：{at:%Y-%m-%d %H:%M:%S}（UTC）新进程未能启动",
    (
        "workers of the host {host} go on with their old settings and code: at {at:%Y-%m-%d %H:%M:%S} UTC a new "
        "process did not start"
    ): "主机 {host} 的工作进程仍在使用旧的设置与代码：{at:%Y-%m-%d %H:%M:%S}（UTC）新进程未能启动",
    "see standard error beside not_replaced in its log, correct that, and send SIGHUP again": (
        "请查看其日志中 not_replaced 附近的标准错误输出，修正后再次发送 SIGHUP"
    ),
    "Which apis and workers have another number of shards.": "分片数量不同的 API 服务与工作进程：",
    (
        "an api or a worker on the host {host} has {theirs} shards in DESKBELL_REDIS_URL, and here there are {here}: "
        "events may wait where nobody works on them, and a delivery that is repeated may be done twice"
    ): (
        "主机 {host} 上 API 服务或工作进程的 DESKBELL_REDIS_URL 有 {theirs} 个分片，"
        "而此处有 {here} 个：事件可能停留在无人处理的分片上，重复投递可能被执行两次"
    ),
    "give every process the same number": "请为所有进程设置相同的数量",
    "{key}: expected a {kind}, got a {found}: what reads it stands still": (
        "{key}：应为 {kind}，实为 {found}：读取它的进程都会停滞"
    ),
    "delete it, or restore it": "请删除或还原该键",
    "the cache {name} holds {count} of {most} values, {size:.1f} of {megabytes} MB": (
        "缓存 {name} 有 {count} / {most} 个值，{size:.1f} / {megabytes} MB"
    ),
    "under way": "执行中",
    "queued": "排队中",
    "scheduled": "待重试",
    "held": "被阻塞",
    "dead": "死信",
    (
        "{count} jobs of the queue {queue} are {status}, as they say, and in no queue or registry, so that nobody "
        "runs or ends them ({ids}{more})"
    ): (
        "队列 {queue} 有 {count} 个任务的状态为“{status}”，却不在任何队列或登记表中，不会被执行，也不会结束（{ids}"
        "{more}）"
    ),
    "put each back where its status says, with `{command}`": "请按其状态逐个放回，例如 `{command}`",
    " and others": " 等",
    "{count} jobs of the queue {queue} are held behind jobs that are gone ({ids}{more})": (
        "队列 {queue} 有 {count} 个任务被已不存在的任务阻塞（{ids}{more}）"
    ),
    "wait half a minute: a worker that declares their type as ordered queues them": (
        "请等待半分钟：将其类型声明为有序的工作进程会把它们放入队列"
    ),
    "{count} ids on the queue {queue} have no job, which was deleted or has expired ({ids}{more})": (
        "队列 {queue} 上有 {count} 个任务 ID 没有对应的任务，任务已被删除或过期（{ids}{more}）"
    ),
    "nothing: a worker drops them when it comes to them": "无需处理：工作进程轮到时会将其丢弃",
    "looked for orphaned jobs in {keys} of {all} keys: found {count}": (
        "已检查 {keys} / {all} 个键：找到 {count} 个孤立任务"
    ),
    (
        "looked for orphaned jobs in {keys} of {all} keys, for {seconds:g} s at most{but}: there may be more than is "
        "told"
    ): ("查找孤立任务时只检查了 {keys} / {all} 个键，最长 {seconds:g} 秒{but}：实际可能多于所示"),
    ", and not at all in {queues}, where too many wait or a key is damaged": (
        "，未查找 {queues}（等待的任务过多或键已损坏）"
    ),
    "Redis answers this host in {half:.2f} ms (at most {most:.1f} ms in {calls} calls)": (
        "Redis 响应本机需 {half:.2f} 毫秒（{calls} 次调用中最长 {most:.1f} 毫秒）"
    ),
    "{answers}; the api waits DESKBELL_REDIS_TIMEOUT_MS, {ms}, and then keeps events on its disk": (
        "{answers}；API 服务等待 DESKBELL_REDIS_TIMEOUT_MS（{ms} 毫秒）后会将事件写入本地磁盘"
    ),
    "Redis notes no slow commands: {setting} is {value}": "Redis 未记录慢命令：{setting} 为 {value}",
    "set {setting} to 10000": "请将 {setting} 设为 10000",
    "no command was slow on Redis within the last hour, as SLOWLOG has it": "最近一小时 SLOWLOG 中没有慢命令",
    (
        "{count} commands were slow on Redis within the last hour ({commands}), the slowest {command} with {ms:.0f} "
        "ms at {at:%H:%M:%S} UTC"
    ): ("最近一小时 Redis 有 {count} 条慢命令（{commands}），最慢的是 {at:%H:%M:%S}（UTC）的 {command}，{ms:.0f} 毫秒"),
    "Redis does not watch its own latency: {setting} is 0": "Redis 未开启延迟监控：{setting} 为 0",
    "{what} made Redis late by {ms} ms at {at:%Y-%m-%d %H:%M:%S} UTC, {most} ms at most": (
        "{what} 在 {at:%Y-%m-%d %H:%M:%S}（UTC）使 Redis 延迟 {ms} 毫秒，最长 {most} 毫秒"
    ),
    "Redis saw nothing that made it late by {ms} ms": "Redis 没有记录到 {ms} 毫秒以上的延迟",
    "Redis has used {used} of its {limit} MB of memory, {part:.0%}": "Redis 内存已用 {used} / {limit} MB（{part:.0%}）",
    "Redis has used {used} MB and has no maxmemory{machine}: when that is used up, the kernel ends it": (
        "Redis 已用 {used} MB，未设置 maxmemory{machine}：内存耗尽时会被内核终止"
    ),
    "; the machine has {size} MB": "；机器共有 {size} MB",
    "set maxmemory: a Redis that is full takes no events, and the apis keep them on their disks": (
        "请设置 maxmemory：Redis 写满后会拒绝事件，由 API 服务暂存到本地磁盘"
    ),
    "maxmemory is {limit} MB, and the machine has {size}": "maxmemory 为 {limit} MB，而机器只有 {size} MB",
    "set it lower": "请调低",
    (
        "{who} blocked an event loop {how_long}, at {at}: everything else of that process waited; write def instead "
        "of async def, or await what takes long"
    ): (
        "{who} 阻塞了事件循环{how_long}，位于 {at}：该进程的其他工作都在等待；请将 async def 改为 def，或对耗时操作使"
        "用 await"
    ),
    "for {seconds:g} s until {noted:%H:%M:%S} UTC": " {seconds:g} 秒，至 {noted:%H:%M:%S}（UTC）",
    "and has not been seen to end, since {noted:%H:%M:%S} UTC": "，自 {noted:%H:%M:%S}（UTC）起尚未结束",
    "expected Redis {least} or later, or Valkey, got {version}": (
        "需要 Redis {least} 或更高版本，或 Valkey，当前为 {version}"
    ),
    "the token {token} of the app {app} {when}, and another of that app is used": (
        "应用 {app} 的令牌 {token}{when}，而该应用的另一个令牌在使用中"
    ),
    "was last used at {at:%Y-%m-%d %H:%M} UTC": "最后一次使用于 {at:%Y-%m-%d %H:%M}（UTC）",
    "was never used": "从未使用",
    "remove it from DESKBELL_APPS, unless Desk's console is about to have it": (
        "请从 DESKBELL_APPS 中删除，除非即将在 Desk 管理端启用它"
    ),
    "when each token was last used is not known: no use of any was noted, or it cannot be read": (
        "不清楚各令牌的最近使用时间：没有任何使用记录，或无法读取"
    ),
}
