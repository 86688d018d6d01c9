from tests.stacks.pod_security import _SAFE_SYSCTLS
from tuning.containers import container_sysctls


def test_containers_are_given_what_kubernetes_calls_safe() -> None:
    assert container_sysctls() == {
        "net.ipv4.ip_local_port_range": "10240 65535",
        "net.ipv4.tcp_keepalive_time": "60",
        "net.ipv4.tcp_keepalive_intvl": "10",
        "net.ipv4.tcp_keepalive_probes": "3",
    }
    assert container_sysctls().keys() <= set(_SAFE_SYSCTLS)
