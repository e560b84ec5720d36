"""The table of checks, in the order in which they are made and shown. A new check is a function and a line here."""

from gateway.operate.doctor.access_checks import check_access, check_grants
from gateway.operate.doctor.broker import check_broker, check_retention, check_times, check_topics, check_versions
from gateway.operate.doctor.here import check_configuration, check_list, check_secrets
from gateway.operate.doctor.result import Check
from gateway.operate.doctor.work import check_clock, check_lag, check_transactions

BROKER = Check("broker", "消息集群", check_broker)

CHECKS = (
    Check("configuration", "配置", check_configuration, needs_broker=False),
    Check("secrets", "密钥文件", check_secrets, needs_broker=False),
    Check("list", "互认清单", check_list, needs_broker=False),
    BROKER,
    Check("versions", "版本", check_versions),
    Check("topics", "主题与分区", check_topics),
    Check("times", "时间戳", check_times),
    Check("retention", "保留期", check_retention),
    Check("access", "实际权限", check_access),
    Check("grants", "授权清单", check_grants),
    Check("clock", "时钟", check_clock),
    Check("transactions", "事务", check_transactions),
    Check("lag", "积压", check_lag),
)
