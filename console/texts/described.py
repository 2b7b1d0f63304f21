"""What `deskbell describe` says, in Chinese, by the English form of each sentence: `shared/sentences.py`."""

DESCRIBED: dict[str, str] = {
    "Chat console, Callback Configuration (in newer consoles Webhook Configuration): authentication": (
        "即时通信 Chat 控制台，“回调配置”（新版控制台为 Webhook 配置）：鉴权"
    ),
    "Desk Management Console: the API-call node of the task flow": "Desk 管理端：任务流的接口调用节点",
    "with exception handling on, the flow takes the node's exception branch; no page says what follows without it": (
        "开启异常处理时，任务流走该节点的异常分支；未开启时会怎样，官方文档没有说明"
    ),
    (
        "Desk Management Console, Settings > Session Settings > Routing Strategy: Business Server Agent Routing "
        "Callback, and the callback URL"
    ): ("Desk 管理端，设置 > 会话设置 > 路由策略：业务服务器座席路由回调，以及回调 URL"),
    "Desk ignores the answer; no page says who takes the session then; there is no branch": (
        "Desk 忽略该应答；此后由谁接待会话，官方文档没有说明；没有分支"
    ),
    "on no page of the console: ask Tencent for it by a support ticket; needs the premium edition": (
        "控制台中没有相应页面：请提交工单向腾讯申请；需要高级版"
    ),
    "the agent may not write first, and ErrorInfo is the reason; there is no branch": (
        "座席不能主动发起会话，ErrorInfo 为其原因；没有分支"
    ),
    "no page says where: ask Tencent by a support ticket": "官方文档没有说明位置：请提交工单咨询腾讯",
    "the client gets no RspData; no page says more; there is no branch": (
        "客户端收不到 RspData；官方文档没有更多说明；没有分支"
    ),
    "Desk Management Console, Settings > Developer Settings: the callback URL, and the switch of session events": (
        "Desk 管理端，设置 > 开发者设置：回调 URL，以及会话事件的开关"
    ),
    (
        "Desk Management Console, Settings > Developer Settings: the callback URL, and the switch of the execution "
        "details of task flows"
    ): ("Desk 管理端，设置 > 开发者设置：回调 URL，以及任务流执行详情的开关"),
    "on no page of the console: ask Tencent for it; needs the premium edition": (
        "控制台中没有相应页面：请向腾讯申请；需要高级版"
    ),
    (
        "A URL may hold no space and none of ! $ & ?: Tencent appends the query. A new URL takes effect about two "
        "minutes after it is saved. Where Tencent's pages say nothing, this page says so."
    ): (
        "URL 不能含空格以及 ! $ & ?，查询参数由腾讯附加。新 URL 保存约两分钟后生效。凡是腾讯官方文档没有说明之处，本页"
        "均予注明。"
    ),
    "on": "开启",
    "when {reasons}": "{reasons}时",
    "{first}, or {last}": "{first}，或{last}",
    "a variable is missing or does not fit": "缺少变量或变量不符合要求",
    "a field is missing or does not fit": "缺少字段或字段不符合要求",
    "the handler refuses": "处理函数拒绝",
    "it fails or is late": "处理函数失败或超时",
    "computed": "由函数计算",
    "yes": "是",
    "no": "否",
    "system": "系统变量",
    "custom": "自定义变量",
    "collected": "收集变量",
    "fixed": "固定值",
    "custom or collected": "自定义或收集变量",
    "Tickets are bound to it.": "票据与会话绑定。",
    (
        "Draw two nodes: this one, and behind it a condition on LateState. While it is not_yet, the flow waits or "
        "says a word, calls the node {node} with LateTicket, and comes back to the condition."
    ): (
        "请绘制两个节点：本节点，其后是对 LateState 的条件判断。为 not_yet 时，任务流等待或回复一句话，携带 "
        "LateTicket 调用节点 {node}，再回到该条件判断。"
    ),
    "It takes the whole call, and may read further variables.": "它接收整个回调，可能读取其他变量。",
    "Outputs are not declared: let the handler return a TypedDict or a pydantic model.": (
        "未声明输出：请让处理函数返回 TypedDict 或 pydantic 模型。"
    ),
    "Job types subscribe to them, and never run without them.": "有任务类型订阅了它们，不开启就不会执行。",
    "None: no job type subscribes to one.": "无：没有任务类型订阅事件回调。",
    "Not known here: DESKBELL_JOBS names no job types.": "此处未知：DESKBELL_JOBS 未指定任务类型。",
    "No handler answers {command}: Desk gets the receipt, which decides nothing.": (
        "没有处理函数应答 {command}：Desk 只收到回执，不产生任何决定。"
    ),
    "Whatever callbacks are turned on, these run for each: {jobs}.": "无论开启哪些回调，以下任务类型都会执行：{jobs}。",
    "none": "无",
    "refused": "拒绝",
    "accepted": "接受",
    "No app is known here: set DESKBELL_APPS, in .env for example, and describe again.": (
        "此处没有已知的应用：请设置 DESKBELL_APPS（例如在 .env 中）后再查看。"
    ),
    (
        "This token is that of deskbell dev, which everybody knows: set DESKBELL_APPS, in .env for example, and "
        "describe again."
    ): ("该令牌是 deskbell dev 的公开令牌：请设置 DESKBELL_APPS（例如在 .env 中）后再查看。"),
    "No page says whether Desk signs its callbacks, or those of API-call nodes.": (
        "官方文档没有说明 Desk 的回调或接口调用节点的回调是否签名。"
    ),
    "text": "文本",
    "integer": "整数",
    "number": "数字",
    "boolean": "布尔值",
    "JSON object": "JSON 对象",
    "JSON array": "JSON 数组",
    "any": "任意",
    "{parts}": "{parts}",
    "{one} or {other}": "{one} 或 {other}",
    "one of {values}": "以下之一：{values}",
    "at least {limit}": "不小于 {limit}",
    "more than {limit}": "大于 {limit}",
    "at most {limit}": "不大于 {limit}",
    "less than {limit}": "小于 {limit}",
    "at least {limit} characters": "至少 {limit} 个字符",
    "at most {limit} characters": "最多 {limit} 个字符",
    "a multiple of {limit}": "{limit} 的倍数",
    "matching {limit}": "匹配 {limit}",
}
