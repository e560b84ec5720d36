// Every word of the page, in Chinese and English. The list's own words, units and messages come from the server.
const WORDS = {
  title: ["川渝电子证照亮证互认网关", "Sichuan–Chongqing certificate display gateway"],
  skip: ["跳到正文", "Skip to content"],
  other: ["English", "中文"],
  connected: ["实时更新", "live"],
  connecting: ["正在连接…", "connecting…"],
  disconnected: ["已断开，正在重连…", "disconnected, retrying…"],
  brokerAway: ["消息代理（Kafka）无应答", "Kafka does not answer"],
  nav: ["主要内容", "Main"],
  overview: ["总览", "Overview"], rejections: ["退回记录", "Rejections"], cases: ["问题", "Cases"], list: ["互认清单", "List"],
  effect: ["落地实效", "Effectiveness"], trace: ["事件轨迹", "Trace"],
  loading: ["正在载入…", "Loading…"],
  sichuan: ["四川", "Sichuan"], chongqing: ["重庆", "Chongqing"],
  direction_sichuan: ["四川证照在重庆亮证", "Sichuan's certificates shown in Chongqing"],
  direction_chongqing: ["重庆证照在四川亮证", "Chongqing's certificates shown in Sichuan"],
  forward: ["通过", "forwarded"], reject: ["退回", "rejected"], duplicate: ["重复", "duplicates"], dead_letter: ["无法识别", "dead letters"], lost: ["丢失", "lost"],
  redriven: ["重新处理后通过", "redriven"],
  perSecond: ["每秒", "per second"], today: ["今日", "today"], lastHour: ["近一小时（每格10秒）", "last hour (10 s each)"],
  nothingHour: ["近一小时没有亮证事件", "no displays in the last hour"],
  reasons: ["退回原因（近一小时，首要原因）", "Reasons (last hour, primary)"], reason: ["原因", "reason"], count: ["次数", "count"],
  noReasons: ["近一小时没有退回", "no rejections in the last hour"],
  workers: ["处理进程", "Workers"], worker: ["进程", "worker"], lanes: ["通道", "lanes"], lag: ["待处理", "lag"],
  noWorkers: ["没有处理进程在运行", "no worker runs"],
  lagBy: ["各分区待处理事件", "Lag by partition"], partition: ["分区", "partition"], lagNone: ["没有积压", "no lag"],
  casesBy: ["问题", "Cases"], pending: ["待处理", "pending"], fed_back: ["已反馈", "fed back"], verified: ["已复核", "verified"],
  edition: ["清单版本", "List in force"], since: ["生效", "since"], rows: ["行", "rows"], unresolved: ["未定单元格", "unresolved cells"],
  editRefused: ["清单有一处修改因错误未被采用，仍用上一版", "a broken edit of the list was refused; the last good one stays"],
  all: ["全部", "all"], direction: ["方向", "direction"], row: ["清单行", "row"], rowHint: ["批次/行，如 1/5", "batch/row: 1/5"], unit: ["责任单位", "unit"], status: ["状态", "status"],
  received: ["接收时间", "received"], event: ["事件", "event"], explain: ["说明", "explain"], more: ["更早的", "older"],
  noRejections: ["没有符合条件的退回记录", "no rejections that fit"],
  leftOut: ["条未逐条显示", "not shown one by one"], fresh: ["条新的退回记录", "new rejections"],
  found: ["实际", "found"], accepted: ["清单原文", "accepted"], field: ["字段", "field"], result: ["结果", "result"], check: ["核对", "check"],
  match: ["✓ 符合", "✓ match"], mismatch: ["✗ 不符", "✗ mismatch"], unresolvedMark: ["? 未定", "? unresolved"],
  certificate: ["电子证照", "certificate"], issuer: ["签发单位", "issuer"], channel: ["亮证渠道", "channel"], scenario: ["应用场景", "scenario"], scope: ["试点范围", "scope"],
  nearest: ["最接近的清单行", "nearest row"], units: ["责任单位", "responsible units"], traceId: ["跟踪编号", "trace id"], origin: ["来源位置", "origin"],
  shownAt: ["亮证时间", "shown"], close: ["关闭", "Close"], toTrace: ["查看轨迹", "trace it"], toCase: ["查看问题", "its case"],
  noCases: ["没有符合条件的问题", "no cases that fit"], value: ["问题取值", "value at fault"], trend: ["近14天", "14 days"],
  last: ["最近", "last seen"], first: ["首次", "first seen"], examples: ["示例事件", "examples"], history: ["经过", "history"], message: ["问题", "problem"],
  opened: ["新问题", "opened"], reopened: ["再次出现", "reopened"], marked: ["标记", "marked"],
  mark: ["标记为", "Mark as"], by: ["经办人或单位", "by whom"], note: ["备注（不含个人信息）", "note (nothing personal)"], token: ["操作员口令", "operator token"],
  send: ["提交", "Submit"], readOnly: ["只读：未设置操作员口令", "read-only: no operator token is set"], done: ["已提交", "done"],
  asOf: ["日期", "as of"], provenance_read: ["", ""], provenance_inferred: ["〔推断〕", "[inferred]"], provenance_missing: ["〔缺失〕", "[missing]"],
  sichuanIssuers: ["四川签发单位", "Sichuan issuers"], chongqingIssuers: ["重庆签发单位", "Chongqing issuers"], channels: ["亮证渠道", "channels"],
  scenarios: ["应用场景", "scenarios"], sichuanScope: ["四川试点范围", "Sichuan scope"], chongqingScope: ["重庆试点范围", "Chongqing scope"],
  unresolvedRow: ["未定", "unresolved"], listNote: ["标有〔推断〕〔缺失〕的单元格须由修订文件确认，此前不放行。", "Cells marked inferred or missing let nothing through until an amendment settles them."],
  heatCaption: ["清单行 × 地区：上为通过，✗ 为退回", "row × area: above forwarded, ✗ rejected"], until: ["至", "until"], from: ["自", "from"],
  noDisplays: ["此期间没有亮证", "no displays in this period"], never: ["此期间未亮证", "no display"], uses: ["实际使用的渠道与场景", "channels and scenarios used"],
  idle: ["此期间没有亮证的地区", "areas without a display"],
  cost: ["因此退回", "refused for it"],
  unlisted: ["不在清单内的证照", "certificates not on the list"],
  eventId: ["事件标识", "event id"], search: ["查找", "Search"], noTrace: ["没有找到：未曾收到、已过保存期，或不在查找范围内", "not found: never came in, or no longer kept"],
  searching: ["正在查找…", "searching…"], outcome: ["结果", "outcome"], sent: ["发出", "sent"], ledger: ["台账", "ledger"], proved: ["复核", "proved"],
  duplicateOf: ["重复自", "repeats"], report: ["部门报告", "Report"], reportBoth: ["两个协调中心，全部部门；填责任单位则只含该单位", "both centres, all departments; fill in a unit for its own"], download: ["下载", "Download"],
  error: ["出错", "error"], retry: ["重试", "Retry"],
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

const clock = new Intl.DateTimeFormat("zh-CN", {
  timeZone: "Asia/Shanghai", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});
export const at = (text) => (text && !Number.isNaN(Date.parse(text)) ? clock.format(new Date(text)) : text ?? "");
export const n = (number) => Number(number).toLocaleString("en-US");
