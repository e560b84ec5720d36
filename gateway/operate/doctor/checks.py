"""The table of checks, in the order in which they are made and shown. A new check is a function and a line
here."""

from gateway.operate.doctor.access_checks import check_access, check_grants
from gateway.operate.doctor.archive_check import check_archive
from gateway.operate.doctor.broker import (
    check_broker,
    check_retention,
    check_sizes,
    check_times,
    check_topics,
    check_versions,
)
from gateway.operate.doctor.feedback_checks import check_feedback, check_lost
from gateway.operate.doctor.here import check_configuration, check_list, check_secrets
from gateway.operate.doctor.keys import check_keys
from gateway.operate.doctor.neighbours import check_ends, check_lists, check_neighbours
from gateway.operate.doctor.result import Check
from gateway.operate.doctor.work import check_clock, check_lag, check_transactions

BROKER = Check("broker", "Kafka（消息系统）", check_broker, needs_topics=False)
TOPICS = Check("topics", "主题与分区", check_topics, needs_topics=False)

CHECKS = (
    Check("configuration", "配置", check_configuration, needs_broker=False, needs_topics=False),
    Check("secrets", "密钥文件", check_secrets, needs_broker=False, needs_topics=False),
    Check("list", "互认清单", check_list, needs_broker=False, needs_topics=False),
    BROKER,
    Check("versions", "版本", check_versions, needs_topics=False),
    TOPICS,
    Check("times", "时间戳", check_times),
    Check("retention", "保留期", check_retention),
    Check("sizes", "消息大小", check_sizes),
    Check("access", "实际权限", check_access),
    Check("grants", "授权清单", check_grants),
    Check("clock", "时钟", check_clock, needs_topics=False),
    Check("transactions", "事务", check_transactions, needs_topics=False),
    Check("topic ends", "主题末端", check_ends),
    Check("keys", "记录键", check_keys),
    Check("neighbours", "外来成员", check_neighbours),
    Check("lists", "清单一致", check_lists),
    Check("lag", "积压", check_lag),
    Check("lost", "丢失", check_lost),
    Check("feedback", "问题统计", check_feedback),
    Check("archive", "归档", check_archive),
)
