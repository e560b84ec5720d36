// Every word of the page, in Chinese and English. The list's own words, units and messages come from the server.
const WORDS = {
  title: ["川渝电子证照亮证互认网关", "Sichuan–Chongqing certificate display gateway"],
  skip: ["跳到正文", "Skip to content"],
  other: ["English", "中文"], guide: ["使用说明", "Guide (中文)"],
  connected: ["实时更新", "Live"],
  connecting: ["正在连接…", "Connecting…"],
  disconnected: ["已断开，正在重连…", "Disconnected, retrying…"],
  brokerDown: ["Kafka（消息系统）无响应", "Kafka does not answer"],
  brokerDownAlarm: ["Kafka（消息系统）无响应，以下为 {time} 的数据。请运维人员运行 gateway doctor 查明原因。", "Kafka does not answer; what follows is as of {time} (Beijing time). Run `gateway doctor`: it says what is wrong."],
  disconnectedAlarm: ["与网关的连接已断开，以下为 {time} 的数据；恢复后自动更新。请运维人员检查 gateway feedback run 是否在运行。", "The connection to the gateway is lost; what follows is as of {time} (Beijing time) and goes on by itself. Check that `gateway feedback run` is running."],
  brokerDownUnseen: ["Kafka（消息系统）无响应，以下数据可能不是最新的。请运维人员运行 gateway doctor 查明原因。", "Kafka does not answer; what follows may be old. Run `gateway doctor`: it says what is wrong."],
  disconnectedUnseen: ["与网关的连接已断开，恢复后自动更新。请运维人员检查 gateway feedback run 是否在运行。", "The connection to the gateway is lost; the page goes on by itself once it is back. Check that `gateway feedback run` is running."],
  unknown: ["未知", "Unknown"],
  nav: ["主要内容", "Main"],
  overview: ["总览", "Overview"], rejections: ["退回记录", "Rejections"], cases: ["问题", "Cases"], list: ["互认清单", "List"],
  effect: ["落地实效", "Effectiveness"], trace: ["事件轨迹", "Trace"],
  loading: ["正在载入…", "Loading…"],
  sichuan: ["四川", "Sichuan"], chongqing: ["重庆", "Chongqing"],
  direction_sichuan: ["四川证照在重庆亮证", "Sichuan's certificates shown in Chongqing"],
  direction_chongqing: ["重庆证照在四川亮证", "Chongqing's certificates shown in Sichuan"],
  forward: ["通过", "forwarded"], reject: ["退回", "rejected"], duplicate: ["重复", "duplicates"], dead_letter: ["无法识别", "dead letters"], lost: ["丢失", "lost"],
  redriven: ["重新处理后通过", "redriven"],
  perSecond: ["每秒（件）", "Per second"], today: ["今日", "Today"], lastHour: ["近一小时", "Last hour"],
  nothingHour: ["近一小时没有亮证事件", "No displays in the last hour"],
  reasons: ["退回原因（近一小时，首要原因）", "Reasons (last hour, primary)"], reason: ["原因", "Reason"], count: ["件数", "Count"],
  noReasons: ["近一小时没有退回", "No rejections in the last hour"],
  workers: ["处理进程", "Workers"], worker: ["处理进程", "Worker"], lanes: ["通道", "Lanes"], lag: ["积压", "Lag"],
  noWorkers: ["没有处理进程在运行", "No workers running"], stranger: ["消费组中有不属于网关的成员", "In the group, but not the gateway's"],
  stuck: ["停滞", "stuck for"], minutes: ["分钟", "min"],
  lagBy: ["各分区积压", "Lag by partition"], partition: ["分区", "Partition"], lagNone: ["没有积压", "No lag"],
  casesBy: ["问题", "Cases"], pending: ["待处理", "pending"], fed_back: ["已反馈", "fed back"], verified: ["已复核", "verified"],
  attention: ["请注意", "Attention"],
  lostAlert: ["{province}：近{days}日有{count}条输入消息在网关读取前已从消息系统中删除（丢失），未作判定，最近一次为{last}。请运维人员运行 gateway audit 查明位置，并请{province}政务服务平台重新发布；办结后运行 gateway acknowledge 登记确认。", "{province}: {count} input records of the last {days} days were gone from the log before the gateway read them (lost) and were not decided, most recently on {last}. Run `gateway audit` for their offsets; {province}'s platform may publish them again; close it with `gateway acknowledge`."],
  lostNoted: ["{province}：近{days}日丢失的输入消息中，{count}条已登记确认：{notes}。", "{province}: of the input records lost in the last {days} days, {count} are acknowledged: {notes}."],
  countedAgain: ["统计存储曾被删除或不完整，正在重新统计；完成前，问题件数和落地实效可能偏少。", "The counts had been deleted or were incomplete and are being made again; until then cases and effectiveness may show too little."],
  edition: ["清单版本", "List in force"], listDigest: ["清单摘要", "List digest"], editionDigest: ["清单版本摘要", "Edition digest"], since: ["生效日期", "In force since"], rows: ["行数", "Rows"], unresolved: ["待确认单元格", "Unresolved cells"],
  editRefused: ["清单修改有误，未予采用，仍执行上一版。请运维人员运行 gateway list validate，按其提示修改。", "A broken edit of the list was refused; the last good list stays in force. Run `gateway list validate` and fix what it names."],
  all: ["全部", "All"], direction: ["方向", "Direction"], row: ["清单行", "Row"], rowHint: ["批次/行，如 1/5", "batch/row: 1/5"], unit: ["责任单位", "Unit"], status: ["状态", "Status"],
  received: ["接收时间", "Received"], event: ["事件", "Event"], explain: ["详情", "Details"], whatToDo: ["怎么办", "What to do"], of: ["共 {total} 项，已显示 {shown} 项", "{shown} of {total} shown"],
 
 
  found: ["实际取值", "Found"], accepted: ["应为", "Accepted"], field: ["字段", "Field"], result: ["结果", "Result"], check: ["核对", "Check"],
  match: ["✓ 符合", "✓ match"], mismatch: ["✗ 不符", "✗ mismatch"], unresolvedMark: ["? 待确认", "? unresolved"],
  certificate: ["电子证照", "Certificate"], issuer: ["签发单位", "Issuer"], channel: ["亮证渠道", "Channel"], scenario: ["应用场景", "Scenario"], scope: ["试点范围", "Scope"],
  nearest: ["最接近的清单行", "Nearest row"], units: ["责任单位", "Responsible units"], traceId: ["跟踪编号", "Trace id"], origin: ["消息位置", "Origin"],
  shownAt: ["亮证时间", "Shown"], close: ["关闭", "Close"], toTrace: ["查看轨迹", "View trace"], toCase: ["查看问题", "View case"],
  noCases: ["没有符合条件的问题", "No cases match"], noCasesAtAll: ["暂无问题", "No cases yet"], noSuchUnit: ["没有该责任单位，请核对名称。责任单位以互认清单所列为准，如“四川省交通运输厅”；可以只填写名称的一部分，如“交通”。", "There is no such unit. Units are named as in the list, such as 四川省交通运输厅; a part of the name will do, such as 交通."], value: ["不符内容", "Value at fault"], trend: ["近14天", "14 days"],
  last: ["最近", "Last seen"], first: ["首次", "First seen"], examples: ["示例事件", "Examples"], history: ["处理经过", "History"], message: ["问题", "Problem"],
  opened: ["新问题", "opened"], reopened: ["再次出现", "reopened"], backAgain: ["再次出现", "Reopened"], marked: ["标记", "marked"],
  mark: ["标记为“{status}”", "Mark as {status}"], by: ["经办单位（经办人）", "By whom"], note: ["备注（请勿填写个人信息）", "Note (no personal data)"], token: ["操作员口令", "Operator token"],
  send: ["提交", "Submit"], readOnly: ["当前只读；如需标记，请联系运维人员", "Read-only; ask the operators if a case is to be marked"], done: ["已提交", "Done"],
  asOf: ["日期", "As of"], provenance_read: ["", ""], provenance_inferred: ["〔推断〕", "[inferred]"], provenance_missing: ["〔缺失〕", "[missing]"],
  sichuanIssuers: ["四川签发单位", "Sichuan issuers"], chongqingIssuers: ["重庆签发单位", "Chongqing issuers"], channels: ["亮证渠道", "channels"],
  scenarios: ["应用场景", "scenarios"], sichuanScope: ["四川试点范围", "Sichuan scope"], chongqingScope: ["重庆试点范围", "Chongqing scope"],
  unresolvedRow: ["待确认", "unresolved"],
  until: ["至", "Until"], from: ["自", "From"],
  noDisplays: ["此期间没有亮证", "No displays in this period"], never: ["此期间未亮证", "No display"], uses: ["实际使用的渠道与场景（通过的件数）", "Channels and scenarios used (forwarded)"],
  idle: ["此期间没有亮证的地区", "Areas without a display"],
  cost: ["因此退回", "Rejected because of this"],
  unlisted: ["另有清单外证照 {count} 件，不列入表内", "Besides, {count} displays of certificates that are not on the list; they are not in the table"],
  search: ["查找", "Search"],
  searching: ["正在查找…", "Searching…"], inputGone: ["（已不在主题中）", "(no longer in its topic)"], searchingFor: ["已用时{seconds}秒，至多3分钟", "for {seconds} s, at most 3 minutes"], outcome: ["结果", "Outcome"], sent: ["发出", "Sent"], ledger: ["台账", "Ledger"], proved: ["判定复验", "Proved"],
  duplicateOf: ["与之重复的事件", "Repeats"], report: ["部门报告", "Report"], reportBoth: ["全部单位汇总；选定责任单位后下载该单位报告", "all units; choose a unit for its own report"], reportDays: ["近{days}天", "last {days} days"], reportAll: ["全部单位汇总", "all units"],
  reportUnits: ["名称含“{text}”的单位有 {count} 个，请选定其一：", "{count} units have “{text}” in their names; choose one: "], reportNoUnit: ["没有名称含“{text}”的单位，无法生成报告", "no unit has “{text}” in its name, so there is no report"], reportsByDate: ["各期部门报告", "Reports by date"],
  error: ["出错", "Error"],

  // Lists of cases and rejections
  short_sichuan: ["四川→重庆", "Sichuan → Chongqing"], short_chongqing: ["重庆→四川", "Chongqing → Sichuan"],
  select: ["选择", "Select"], selectAll: ["选择所列全部", "Select all shown"], selected: ["已选 {count} 项", "{count} selected"], clearSelection: ["取消选择", "Clear selection"],
  markAs: ["标记为", "Mark as"], markedAll: ["已将 {marked} 项标记为“{status}”。", "{marked} marked {status}."], markedSome: ["已将 {marked} 项标记为“{status}”，{refused} 项未标记：", "{marked} marked {status}; {refused} not marked:"], sending: ["正在提交…", "Submitting…"],
  alreadyMarked: ["{count} 项此前已是“{status}”，未重复标记。", "{count} already {status}: not marked again."], alreadyNoted: ["{count} 项此前已是“{status}”，仅补记备注。", "{count} already {status}: only the note was added."],
  onlyReopened: ["仅再次出现", "Reopened only"], onlyOwnMatter: ["不列出", "Left out"], ownMatter: ["暂不需处理", "Not first"], searchCases: ["查找", "Search"], searchHint: ["证照、单位、取值、原因", "certificate, unit, value, reason"], clearFilters: ["清除筛选", "Clear filters"],
  period: ["统计期", "Period"], period_today: ["今天", "Today"], period_week: ["本周", "This week"], period_lastweek: ["上周", "Last week"], period_last7: ["近7天", "Last 7 days"], period_month: ["本月", "This month"], period_lastmonth: ["上月", "Last month"], period_days: ["自选日期", "Dates"],
  fromTo: ["{since}至{until}", "{since} to {until}"], untilDay: ["至{until}", "until {until}"], countInPeriod: ["期内件数", "In period"],
  sortBy: ["排序", "Sort by"], newestEvents: ["最近出现的在前", "Last seen first"], mostEvents: ["件数多的在前", "Most events first"], newestCases: ["新问题在前", "Newest cases first"], byReason: ["按原因", "By reason"],
  behind: ["该问题只出现在首要原因属于其他单位的事件中，随其他单位的问题解决，暂不需处理；首要原因见示例事件。", "It occurs only in events whose primary reason is another unit's matter, and goes away with that: nothing is to be done here for now. The examples have the primary reason."], behindShort: ["暂不需处理", "not first"],
  moreCases: ["加载更多", "Load more"], caseId: ["问题编号", "Case id"], noSuchCase: ["没有该问题：编号有误、已超过保存期，或刚刚出现（汇总后自动显示）", "There is no such case: its id is wrong, it is no longer kept, or it has just occurred and is shown once it is counted"], noHistory: ["尚未推送", "Not announced yet"],
  making: ["正在生成…", "Making it…"], reportFailed: ["报告未能生成", "No report was made"],
  pause: ["暂停更新", "Pause updates"], paused: ["已暂停更新。", "Paused."], heldBack: ["期间有 {count} 条新的退回记录未显示。", "{count} new rejections are not shown."], fresh: ["新增 {count} 条退回记录", "{count} new rejections"],
  heldAll: ["此处为 {since} 以来收到的全部退回记录，共 {count} 条：退回 {rejected} 条，无法识别 {letters} 条（最多保留 {most} 条）；更早的见“问题”和报告。", "All rejections received since {since} (Beijing time): {count}, of which {rejected} rejected and {letters} dead letters ({most} at most are held here); for older ones see the cases and reports."],
  heldSome: ["此处仅保留最近 {count} 条退回记录：退回 {rejected} 条，无法识别 {letters} 条，其中 {since} 以来收到的为全部；另有 {dropped} 条较早的已不在此处，见“问题”和报告。", "The newest {count} only, {rejected} rejected and {letters} dead letters: all received since {since} (Beijing time); {dropped} older ones are no longer here: see the cases and reports."],
  noRejections: ["上述范围内没有符合条件的退回记录", "No rejections match among those held here"], noneHeld: ["{since} 以来没有退回记录，也没有无法识别的消息", "No rejections or dead letters since {since} (Beijing time)"], more: ["加载更早记录", "Load older"],
  rejectionGone: ["该退回记录已不在此处保留的范围内；可在“事件轨迹”中按事件标识查找，或查看有关问题。", "This rejection is no longer held here: look the event up under Trace by its id, or see its case."],
  byId: ["已知事件标识的，请在此查找：", "To look an event up by its id: "],
  // The list
  listNote: ["标有〔推断〕〔缺失〕的单元格须由修订文件确认；确认前，所涉亮证一律退回。", "Cells marked inferred or missing let nothing through until an amendment resolves them."],
  documents: ["依据文件", "Documents"], listCaption: ["{date}执行的清单（自{since}起），共 {rows} 行", "In force on {date} (since {since}): {rows} rows"], noList: ["{date}尚无互认清单生效；最早的清单自{first}起生效。", "No list was in force on {date}; the first one is in force from {first}."],
  // Trace
  eventId: ["事件标识", "Event id"], idOrPlace: ["事件标识或消息位置", "Event id or place"], placeHint: ["标识，或 sichuan.display/3/1207", "id, or sichuan.display/3/1207"],
  noTrace: ["未找到该事件：标识或位置有误、从未收到或已超过保存期", "Not found: the id or place is wrong, or it was never received or is no longer kept"],
  outcome_forward: ["已通过，核验记录已发往对方省市", "Forwarded to the other province"], outcome_reject: ["已退回", "Rejected"], outcome_duplicate: ["重复：此前已通过，未再发送", "A duplicate: forwarded before, not sent again"], outcome_dead_letter: ["无法识别", "Dead-lettered"],
  outcome_lost: ["丢失：网关读取前已从消息系统中删除", "Lost: gone from the log before the gateway read it"], outcome_pending: ["等待处理", "Not decided yet"], outcome_unknown: ["处理记录已超过保存期", "No longer in the ledger that is kept"],
  kind_verification: ["核验记录", "verification record"], kind_rejection: ["退回记录", "rejection"], kind_dead_letter: ["无法识别的消息", "dead letter"], kind_foreign: ["非网关写入的消息", "not the gateway's record"],
  supersedes: ["，取代", ", supersedes"], notCounted: ["尚未汇总", "not counted yet"], notCountedAnyMore: ["已不在汇总范围内", "no longer counted"], notSearched: ["不在查找范围内", "not within what was searched"], listComma: ["、", ", "], wordSemicolon: ["；", "; "],
  unread: ["以下分区未能读完，结果可能不全：{places}。请运维人员运行 gateway doctor 查明原因。", "These partitions could not be read to their end, so that something may be missing: {places}. Run `gateway doctor`."],
  searchedRecords: ["共查找 {count} 条消息", "{count} records searched"], searchedArchive: ["共查找 {count} 条消息（含归档）", "{count} records searched, the archive's too"],
  fromArchive: ["来自归档：{day}。主题中的记录已超过保存期。", "From the archive: {day}. The topics no longer keep it."],
  archivePartly: ["归档中有文件未能读取，结果可能不全。请运维人员运行 gateway audit --archive 查明原因。", "Files of the archive could not be read, so that something may be missing. Run `gateway audit --archive`."],
  archiveTimeout: ["60秒内未查完归档，以下仅为主题中的结果。请运维人员用 gateway trace --archive 加 --since 缩小范围查找。", "The archive was not searched within 60 s: this is what the topics have. `gateway trace --archive` can search less by --since."],
  archiveFailed: ["归档无法访问，以下仅为主题中的结果。请运维人员运行 gateway trace --archive 查明原因。", "The archive cannot be reached: this is what the topics have. Run `gateway trace --archive` to see why."],

  // The overview, and effectiveness
  running: ["运行状态", "Status"], runningWell: ["✓ 运行正常", "✓ Running"], runningBadly: ["! 需要处理", "! Needs attention"], runningNot: ["✗ 未运行", "✗ Not running"], runningUnknown: ["? 状态不明", "? Unknown"],
  runningUnknownWhy: ["连接中断期间无法得知网关是否在运行；以下为中断前的数据。", "While the connection is lost nothing says whether the gateway runs; what follows is from before."],
  runningNoWorkers: ["没有处理进程，新的亮证事件不会得到判定。请运维人员启动 gateway run。", "There is no worker: new events are not decided. Start `gateway run`."],
  runningStuck: ["{count} 个分区停滞：有积压而无进展。请运维人员运行 gateway doctor 查明原因。", "Stuck partitions: {count}. Events wait there and none is decided. Run `gateway doctor`: it says why."],
  runningStrangers: ["消费组中有 {count} 个不属于网关的成员，占用分区。请运维人员将其停止。", "Members of the consumer group that are not the gateway's: {count}. They keep partitions from it: stop them."],
  passing: ["今日通过率", "Passed today"], yesterdaySame: ["昨日同期", "same hours of yesterday:"],
  passingUp: ["↑ 较昨日同期（{then}）上升 {points} 个百分点", "↑ {points} points above the same hours of yesterday ({then})"],
  passingDown: ["↓ 较昨日同期（{then}）下降 {points} 个百分点", "↓ {points} points below the same hours of yesterday ({then})"],
  passingSame: ["与昨日同期（{then}）持平", "As in the same hours of yesterday ({then})"],
  noData: ["无数据", "No data"], noneToday: ["今日尚无亮证", "No displays today yet"], noneYesterday: ["昨日同期无数据，不作比较", "No data of the same hours of yesterday to compare with"],
  passingNote: ["通过率＝通过÷（通过＋退回），按首次判定计件；同期为0时至{hours}时。", "Forwarded ÷ (forwarded + rejected), events as first decided; the hours are 0:00 to {hours}:00, Beijing time."],
  toDo: ["未办结问题", "Open cases"], toDoOpen: ["未办结 {open} 项", "{open} open"], toDoOverdue: ["未办结 {open} 项，其中超期 {overdue} 项", "{open} open, {overdue} of them overdue"], toDoNone: ["✓ 没有未办结问题", "✓ No open cases"],
  toDoUnits: ["未办结问题最多的单位", "Units with the most open cases"], toDoOf: ["共 {total} 个，列出 {shown} 个", "{shown} of {total}"], open: ["未办结", "Open"], overdue: ["超期", "Overdue"],
  toDoNote: ["未办结指待处理和已反馈；推送或再次出现后超过{days}天仍未复核的为超期。涉及多个单位的问题，各单位分别计入。另有{behind}项暂不需处理，未计入。", "Open is pending or fed back. Overdue is what was announced, or came back, more than {days} days ago and is not verified. A case counts for each of its units. {behind} more, with which nobody has anything to do yet, are not counted."],
  perMinute: ["每柱为1分钟的件数", "Each bar is the events of one minute"], chartLabel: ["近一小时每分钟通过、退回和无法识别的件数，数值见数据表", "forwarded, rejected and dead letters of the last hour by the minute; the table has the figures"], asTable: ["数据表", "As a table"], time: ["时间", "Time"],
  copy: ["复制", "Copy"], copied: ["已复制", "Copied"], filters: ["筛选条件", "Filters"],
  heatCaption: ["各证照在各地的件数：上为通过，✗ 为退回", "Certificates by area: forwarded above, ✗ rejected"], total: ["合计", "Total"],
  heatSum: ["共 {count} 件：通过 {forward} 件，退回 {reject} 件，退回率 {share}", "{count} in all: {forward} forwarded, {reject} rejected ({share})"],
  heatLegend: ["颜色表示退回率", "Colours are the share rejected"], heat_0: ["无退回", "none rejected"], heat_1: ["退回率5%以下", "up to 5% rejected"], heat_2: ["5%—20%", "up to 20%"], heat_3: ["20%—50%", "up to 50%"], heat_4: ["50%以上", "above 50%"],
  elsewhere_sichuan: ["另有 {count} 件不在重庆亮证，均已退回，不列入表内", "Besides, {count} shown outside Chongqing and rejected; they are not in the table"],
  elsewhere_chongqing: ["另有 {count} 件不在四川亮证，均已退回，不列入表内", "Besides, {count} shown outside Sichuan and rejected; they are not in the table"],
};

const KEY = "gateway-language";
let language = 0;
try { language = localStorage.getItem(KEY) === "en" ? 1 : 0; } catch { language = 0; }

export const isEnglish = () => language === 1;
export const t = (name) => (WORDS[name] ?? [name, name])[language];
export const said = (message) => (message ? message[language ? "en" : "zh"] : "");
// A row of the list is named by its batch and its number: 1/5 where it stands among others, in full where there is room.
export const ref = ({ batch, row }) => (row === null || row === undefined ? null : `${batch}/${row}`);
export const rowName = (item) => (ref(item) && !isEnglish() ? `第${item.batch}批第${item.row}行` : ref(item));
export function switchLanguage() {
  language = 1 - language;
  try { localStorage.setItem(KEY, language ? "en" : "zh"); } catch { /* private mode: the switch holds for this page */ }
}

const dateAndTime = new Intl.DateTimeFormat("zh-CN", {
  timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});
export const at = (text) => (text && !Number.isNaN(Date.parse(text)) ? dateAndTime.format(new Date(text)) : text ?? "");
const hours = new Intl.DateTimeFormat("zh-CN", { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const clock = (seconds) => hours.format(new Date(seconds * 1000));
// Chinese and English part words in their own way.
export const colon = () => (isEnglish() ? ": " : "：");
export const comma = () => (isEnglish() ? ", " : "，");
export const inBrackets = (text) => (isEnglish() ? ` (${text})` : `（${text}）`);
export const day = (date) => (isEnglish() ? date : date.replace(/^(\d+)-0?(\d+)-0?(\d+)$/, "$1年$2月$3日"));
export const n = (number) => Number(number).toLocaleString("en-US");
export const listed = (items) => items.join(t("listComma"));

// A share with one decimal, "no data" of nothing; only what is all or nothing reads 100% or 0%.
export function percent(part, whole) {
  if (!whole) return t("noData");
  if (!part || part === whole) return part ? "100%" : "0%";
  return `${Math.min(99.9, Math.max(0.1, (100 * part) / whole)).toFixed(1)}%`;
}
const shareOf = ({ forward, reject }) => (100 * forward) / (forward + reject);
export const points = (now, before) => Math.round(10 * (shareOf(now) - shareOf(before))) / 10;
