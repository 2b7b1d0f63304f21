"""What was wrong with an address, a form, a setting or a callback, in Chinese, by the English form."""

REFUSALS: dict[str, str] = {
    "before: expected Unix seconds, got {got!r}": "before：应为 Unix 秒数，实际为“{got}”",
    "id: expected an event's, 32 hex digits, got {got!r}": "id：应为事件 ID（32 位十六进制数字），实际为“{got}”",
    "id: expected a session's, 1 to {most} characters, got {got:,}": (
        "id：应为会话 ID（1 至 {most} 个字符），实际为 {got:,} 个字符"
    ),
    "from: expected a place as a link of this page has it": "from：应为本页链接中给出的位置",
    "as: expected one of the job types to replay as ({types}), got {got!r}": (
        "as：应为可用于重放的任务类型之一（{types}），实际为“{got}”"
    ),
    "rate: expected a number in a s, min or h, such as 20/s, got {got!r}": (
        "rate：应为每 s、min 或 h 的数量，例如 20/s，实际为“{got}”"
    ),
    "until: expected the time up to which dead letters are meant, got none": (
        "until：缺少时间，无法确定截至何时的死信"
    ),
    "action: expected replay or discard, got {got!r}": "action：应为 replay 或 discard，实际为“{got}”",
    "{name}: expected {form}, got {got!r}": "{name}：应为{form}，实际为“{got}”",
    "a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date": " 90s、15m、2h、7d、14:02 或 ISO 日期等时间",
    "expected a form (application/x-www-form-urlencoded)": "应为表单（application/x-www-form-urlencoded）",
    "expected a form of {most:,} bytes or less": "表单最多 {most:,} 字节",
    "expected a form of {most} fields or less, in UTF-8": "表单最多 {most} 个字段，且须为 UTF-8",
    # shared/loading, deskbell/describe: handlers and job types that cannot be imported
    "{setting}: {error}{where}": "{setting}：{error}{where}",
    "{setting}: there is no job type {name!r}{hint}": "{setting}：没有任务类型“{name}”{hint}",
    "; did you mean {nearest}?": "；是否应为 {nearest}？",
    "; there are {names}": "；现有 {names}",
    "{setting}: expected {form}, got {got!r}{write}": "{setting}：应为 {form}，实际为“{got}”{write}",
    "; write {string}": "；请写 {string}",
    (
        "{setting}: there is no module {name} in DESKBELL_APP_DIR, by default the current folder, or among the "
        "installed packages"
    ): "{setting}：DESKBELL_APP_DIR（默认为当前目录）和已安装的包中都没有模块 {name}",
    "{setting}: {module} imports {name}, which is not installed ({where}){write}": (
        "{setting}：{module} 导入了未安装的 {name}（{where}）{write}"
    ),
    "{setting}: importing {module} failed at {where} with {error}{write}": (
        "{setting}：导入 {module} 时在 {where} 出错：{error}{write}"
    ),
    "{setting}: {module} has no attribute {name}{write}": "{setting}：{module} 没有属性 {name}{write}",
    "{setting}: expected {string} to be a {kind}, got {found}": "{setting}：{string} 应为 {kind}，实际为{found}",
    "; what you import of Deskbell is in deskbell, deskbell.jobs and deskbell.testing": (
        "；可从 Deskbell 导入的内容在 deskbell、deskbell.jobs 与 deskbell.testing 中"
    ),
    "; in a module of yours, write {include}, and name its jobs": (
        "；请在您自己的模块中写 {include}，再指定该模块的 jobs"
    ),
    "a {kind}; is it meant for {setting}?": " {kind}；是否应填入 {setting}？",
    "the class; write {write}, and name that": "类本身；请写 {write}，再指定该对象",
    "a {kind}": " {kind}",
    "DESKBELL_CALLBACKS: expected package.module:callbacks with handlers to describe, got {got}": (
        "DESKBELL_CALLBACKS：应为含有处理函数的 package.module:callbacks，实际{got}"
    ),
    "none in {names}": "在 {names} 中没有处理函数",
    "nothing: set it, in .env for example": "为空：请设置，例如在 .env 中",
    # deskbell/queues/refused.py
    "{count:,} callbacks{apps} were refused within the last ten minutes, the last at {at:%H:%M} UTC: {why}": (
        "最近十分钟拒绝了 {count:,} 个回调{apps}，最近一次在 {at:%H:%M}（UTC）：{why}"
    ),
    " of the app {apps}": "（应用 {apps}）",
    "neither Redis nor the disk of the api kept the event": "Redis 与 API 服务的磁盘都无法保存事件",
    "bring Redis back, or make room on the disk of DESKBELL_SPOOL_DIR: either is enough": (
        "请恢复 Redis，或为 DESKBELL_SPOOL_DIR 所在磁盘腾出空间：任一即可"
    ),
    "too many were in flight": "同时处理的回调过多",
    "see which node is slow, or start more processes or hosts of the api": (
        "请查看哪个节点变慢，或增加 API 服务的进程或主机"
    ),
    "they were signed with another token than DESKBELL_APPS has": "签名所用令牌不在 DESKBELL_APPS 中",
    "write the token of Desk's console into DESKBELL_APPS, too, and send SIGHUP to `deskbell api`": (
        "请把 Desk 控制台中的令牌也写入 DESKBELL_APPS，并向 `deskbell api` 发送 `SIGHUP`"
    ),
    "they are not signed": "回调没有签名",
    "give the callback a token in Desk's console, the one of DESKBELL_APPS": (
        "请在 Desk 控制台为回调设置令牌，与 DESKBELL_APPS 一致"
    ),
    "their RequestTime is more than 60 s from the clock of the api": "RequestTime 与 API 主机时钟相差超过 60 秒",
    "set the clock of its host by NTP": "请用 NTP 为该主机校时",
    "DESKBELL_APPS does not have their SdkAppid": "DESKBELL_APPS 中没有其 SdkAppid",
    "write it into DESKBELL_APPS, and send SIGHUP to `deskbell api`": (
        "请将其写入 DESKBELL_APPS，并向 `deskbell api` 发送 `SIGHUP`"
    ),
    "their path lacks the secret": "请求路径中没有密钥",
    "correct the URL in Desk's console": "请更正 Desk 控制台中的 URL",
    "see refused in the log of the api": "请查看 API 日志中的 refused",
}
