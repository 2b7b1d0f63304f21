"""What is said of a Redis server, in Chinese, by the English form of each sentence: `shared/sentences.py`."""

SERVERS: dict[str, str] = {
    # api/monitoring, api/acceptance
    "Redis writes no append-only file; set appendonly yes and appendfsync always": (
        "Redis 未开启 AOF；请设置 appendonly yes 与 appendfsync always"
    ),
    "appendfsync is {value}; set it to always": "appendfsync 为 {value}；请设为 always",
    "a failover may lose acknowledged events that the replica has not received; set DESKBELL_MIN_REPLICAS to 1": (
        "主从切换可能丢失副本尚未收到的已确认事件；请将 DESKBELL_MIN_REPLICAS 设为 1"
    ),
    "maxmemory is set, and Redis does not tell its maxmemory-policy; it should be noeviction": (
        "已设置 maxmemory，但无法读取 maxmemory-policy；应为 noeviction"
    ),
    "maxmemory-policy is {policy}: answers may be forgotten early; set it to noeviction": (
        "maxmemory-policy 为 {policy}：已给出的应答可能被提前淘汰；请设为 noeviction"
    ),
    "maxmemory-policy is {policy}: jobs may be evicted; set it to noeviction": (
        "maxmemory-policy 为 {policy}：任务可能被淘汰；请设为 noeviction"
    ),
    "Redis has used {part:.0%} of its maxmemory; when that is reached it takes no events": (
        "Redis 已用 maxmemory 的 {part:.0%}；用满后将拒绝事件"
    ),
    "this Redis is a replica, and takes no events; DESKBELL_REDIS_URL must lead to the master": (
        "该 Redis 是副本，不接收事件；DESKBELL_REDIS_URL 必须指向主节点"
    ),
    "this Redis is in cluster mode, and takes no events; DESKBELL_REDIS_URL must be redis+cluster://": (
        "该 Redis 处于集群模式，不接收事件；DESKBELL_REDIS_URL 必须为 redis+cluster://"
    ),
    "Redis has used all of its maxmemory, and takes no events: raise it, or see what fills it": (
        "Redis 的 maxmemory 已用满，拒绝事件：请调大，或查明占用内存的内容"
    ),
    "{seconds:.0f} s ahead of": "快 {seconds:.0f} 秒",
    "{seconds:.0f} s behind": "慢 {seconds:.0f} 秒",
    (
        "the clock of this host is {apart} that of Redis: a callback whose RequestTime is more than 60 s from this "
        "host's clock is refused; set both by NTP"
    ): ("本机时钟比 Redis {apart}：RequestTime 与本机时钟相差超过 60 秒的回调会被拒绝；请用 NTP 为两者校时"),
    "Redis cannot write its append-only file: look at its disk": "Redis 无法写入 AOF：请检查其磁盘",
    "Redis cannot write its snapshots: look at its disk": "Redis 无法写入 RDB 快照：请检查其磁盘",
    "DESKBELL_MIN_REPLICAS is {least}, and {replicas} are connected: events go to the spool": (
        "DESKBELL_MIN_REPLICAS 为 {least}，而已连接的副本为 {replicas} 个：事件写入本地暂存"
    ),
    (
        "at {at:%Y-%m-%d %H:%M:%S} UTC Redis lacked {calls} calls, each of one event or more, that it had "
        "acknowledged: it is another server, or was restored from an older copy (docs/how-to/operate.md, Failover)"
    ): (
        "{at:%Y-%m-%d %H:%M:%S}（UTC）发现 Redis 缺少 {calls} 次已确认的写入，每次含一个或多个事件：它是另一台服务器，"
        "或由旧备份恢复（docs/how-to/operate.md，Failover）"
    ),
    "when that is dealt with, write `deskbell doctor --ack-lost-writes`": (
        "处理完毕后请执行 `deskbell doctor --ack-lost-writes`"
    ),
    "look again when Redis and this host are less busy": "请在 Redis 与本机较空闲时再次检查",
    # shared/redis/outages
    "DESKBELL_REDIS_URL: {problem}": "DESKBELL_REDIS_URL：{problem}",
    "{problem} from {default}; set it, in .env or the environment, or run `deskbell dev` here": (
        "{problem}（{default}）；请在 .env 或环境变量中设置，或在此运行 `deskbell dev`"
    ),
    "expected a server that answers, got {error}": "服务器没有响应：{error}",
    "Redis refuses the user or the password in DESKBELL_REDIS_URL, or that there is none: correct it": (
        "Redis 拒绝了 DESKBELL_REDIS_URL 中的用户或密码，或其中缺少密码：请更正"
    ),
    "Redis does not let this user {what}: give it the rights that docs/how-to/operate.md lists": (
        "Redis 不允许该用户{what}：请按 docs/how-to/operate.md 授权"
    ),
    "run a command of a script": "执行脚本中的某个命令",
    "reach a key or a channel": "访问某个键或频道",
    "run {command}": "执行 {command}",
    "Redis does not run in cluster mode: expected redis:// in DESKBELL_REDIS_URL": (
        "Redis 未运行在集群模式：DESKBELL_REDIS_URL 应为 redis://"
    ),
    "Redis runs in cluster mode: expected redis+cluster:// and how many shards, ?shards=16, in DESKBELL_REDIS_URL": (
        "Redis 运行在集群模式：DESKBELL_REDIS_URL 应为 redis+cluster:// 并注明分片数，?shards=16"
    ),
    "Redis does not know a command: expected Redis 7 or later, or Valkey, and no command renamed": (
        "Redis 不认识某个命令：需要 Redis 7 或更高版本，或 Valkey，且未重命名命令"
    ),
    "Redis' certificate is not trusted: expected ssl_ca_certs in DESKBELL_REDIS_URL to name its authority": (
        "Redis 的证书不受信任：DESKBELL_REDIS_URL 中的 ssl_ca_certs 应指定其签发机构"
    ),
    "Redis has no database of the number in DESKBELL_REDIS_URL": "Redis 没有 DESKBELL_REDIS_URL 所指编号的数据库",
}
