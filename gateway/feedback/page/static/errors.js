// What went wrong, by the server's code for it.
import { inBrackets, isEnglish } from "./text.js";

const WORDS = {
  no_connection: ["无法连接网关，请稍后重试；仍不行的，请联系运维人员", "The gateway cannot be reached; try again, and tell the operators if it goes on"],
  bad_answer: ["网关的应答无法识别，请刷新页面后重试", "The gateway's answer cannot be read; reload the page and try again"],
  kafka_unreachable: ["Kafka（消息系统）无响应，暂时无法办理，请稍后重试；仍不行的，请联系运维人员", "Kafka does not answer; try again later, and tell the operators if it goes on"],
  read_only: ["当前只读；如需标记，请联系运维人员", "Read-only; ask the operators if a case is to be marked"],
  token_wrong: ["操作员口令不正确，请核对后重新提交", "The operator token is wrong; check it and submit again"],
  remark_missing: ["请填写经办单位（经办人）", "Say who marks it"],
  remark_too_long: ["经办单位最多100字，备注最多500字，均不得换行或含不可见字符", "At most 100 characters for who marks it and 500 for the note, on one line and visible"],
  remark_personal: ["填写内容含居民身份证号码或手机号码，请删除后重新提交", "A resident identity number or a mobile number is not kept here; take it out and submit again"],
  body_invalid: ["提交内容有误：一次最多标记200项", "The request is not valid: at most 200 cases are marked at once"],
  case_unknown: ["没有该问题，或已超过保存期", "There is no such case, or it is no longer kept"],
  case_ambiguous: ["有多个问题的编号以此开头，请写全编号", "Several cases have an id that begins so; write it in full"],
  case_waits: ["该问题暂不需处理：所涉事件的首要原因均属于其他单位", "Nothing is to be done about this case yet: all of its events are another unit's matter first"],
  case_not_announced: ["该问题刚刚出现，尚未推送，请几秒后重试", "The case has not been announced yet; try again in a few seconds"],
  mark_pending: ["问题不能标记为待处理；再次出现时自动恢复为待处理", "A case is not marked pending; it reopens by itself"],
  mark_too_early: ["该问题尚未标记为“已反馈”，不能直接标记为“已复核”", "The case is to be marked fed back before it is marked verified"],
  mark_too_late: ["该问题已复核；再次出现时自动恢复为待处理", "The case is verified already; it reopens by itself"],
  date_invalid: ["日期有误，请按“年-月-日”填写，如 2026-10-01", "The date is not valid; write it as 2026-10-01"],
  period_reversed: ["起始日期晚于截止日期，请调整", "The period ends before it begins; change one of its dates"],
  format_invalid: ["报告格式有误，请选择 HTML、XLSX 或 MD", "A report is made as HTML, XLSX or MD; choose one"],
  number_invalid: ["参数应为数字", "A number is expected"],
  text_too_long: ["查找内容过长，最多500字", "What is searched for may have 500 characters at most"],
  row_invalid: ["清单行填写有误，请填“批次/行”，如 1/5", "A row is written batch/row, such as 1/5"],
  row_unknown: ["互认清单中没有该行", "The list has no such row"],
  row_ambiguous: ["多个批次都有该行，请写明批次，如 1/5", "Several batches have that row; write the batch too, such as 1/5"],
  sort_invalid: ["排序方式有误，请点击表头重新排序", "Cases cannot be sorted so; click a column's head"],
  province_invalid: ["方向有误，请重新选择", "There is no such direction; choose one"],
  unit_unknown: ["互认清单和问题中都没有该单位，请从列表中选择", "No such unit is in the list or in any case; choose one that is offered"],
  id_missing: ["请填写事件标识", "Say which event"],
  place_invalid: ["消息位置有误，应为“主题/分区/偏移量”，如 sichuan.display/3/1207", "A place is TOPIC/PARTITION/OFFSET, such as sichuan.display/3/1207"],
  partition_unknown: ["没有该分区：分区从0开始编号，请核对消息位置", "There is no such partition: they are numbered from 0"],
  trace_timeout: ["120秒内未查完；请运维人员用 gateway trace --since 缩小范围查找", "Not searched within 120 s; `gateway trace --since` can search less"],
  pages_open: ["同时打开的页面过多，请关闭不用的页面", "Too many pages are open; close one"],
};

export const inWords = (code, english) => WORDS[code]?.[isEnglish() ? 1 : 0] ?? unforeseen(english ?? code);
const unforeseen = (english) => (isEnglish() ? english : `请求未完成，请将以下内容告知运维人员${inBrackets(english)}`);
