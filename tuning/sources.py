"""Where the reasons come from; settings name them."""

from __future__ import annotations

from typing import Final

IP_SYSCTL: Final = "https://docs.kernel.org/networking/ip-sysctl.html"
NET_SYSCTL: Final = "https://docs.kernel.org/admin-guide/sysctl/net.html"
VM_SYSCTL: Final = "https://docs.kernel.org/admin-guide/sysctl/vm.html"
FS_SYSCTL: Final = "https://docs.kernel.org/admin-guide/sysctl/fs.html"
KERNEL_SYSCTL: Final = "https://docs.kernel.org/admin-guide/sysctl/kernel.html"
CONNTRACK: Final = "https://docs.kernel.org/networking/nf_conntrack-sysctl.html"
THP: Final = "https://docs.kernel.org/admin-guide/mm/transhuge.html"
IRQ: Final = "https://docs.kernel.org/core-api/irq/irq-affinity.html"
SCALING: Final = "https://docs.kernel.org/networking/scaling.html"
CPUFREQ: Final = "https://docs.kernel.org/admin-guide/pm/cpufreq.html"
CPUIDLE: Final = "https://docs.kernel.org/admin-guide/pm/cpuidle.html"
POSTGRES_MEMORY: Final = "https://www.postgresql.org/docs/current/kernel-resources.html#LINUX-MEMORY-OVERCOMMIT"
POSTGRES_HUGE: Final = "https://www.postgresql.org/docs/current/kernel-resources.html#LINUX-HUGE-PAGES"
POSTGRES_FLUSH: Final = "https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-CHECKPOINT-FLUSH-AFTER"
REDIS: Final = "https://redis.io/docs/latest/operate/oss_and_stack/management/admin/"
REDIS_CONF: Final = "redis.conf, tcp-backlog"
NGINX: Final = "https://nginx.org/en/docs/http/ngx_http_core_module.html#listen"
LISTEN: Final = "listen(2)"
TCP: Final = "tcp(7)"
