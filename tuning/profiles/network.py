"""Many connections, and peers that vanish."""

from __future__ import annotations

from typing import Final

from tuning import sources
from tuning.profile import Profile, Setting

NETWORK: Final = Profile(
    name="network",
    includes=("base",),
    settings=(
        Setting(
            key="net.core.rmem_max",
            value="16777216",
            reason="A program may ask for 16 MiB of receive buffer: 1 Gbit/s over a round trip of 134 ms.",
            source=sources.NET_SYSCTL,
        ),
        Setting(
            key="net.core.wmem_max",
            value="16777216",
            reason="A program may ask for 16 MiB of send buffer: 1 Gbit/s over a round trip of 134 ms.",
            source=sources.NET_SYSCTL,
        ),
        Setting(
            key="net.ipv4.tcp_rmem",
            value="4096 87380 16777216",
            reason="The receive window may grow to 16 MiB by itself; newer kernels begin with more, which stays.",
            source=sources.IP_SYSCTL,
        ),
        Setting(
            key="net.ipv4.tcp_wmem",
            value="4096 65536 16777216",
            reason="The send buffer may grow to 16 MiB by itself, and begins with room for a burst of events.",
            source=sources.IP_SYSCTL,
        ),
        Setting(
            key="net.ipv4.ip_local_port_range",
            value="10240 65535",
            rule="as_wide",
            reason="A balancer's connections to one gateway all differ in the local port alone; of different parity, as advised.",
            source=sources.IP_SYSCTL,
            container=True,
        ),
        Setting(
            key="net.ipv4.tcp_keepalive_time",
            value="60",
            rule="at_most",
            reason="A peer that vanished is noticed after 90 s, with the two values below, instead of 2 h 11 min.",
            source=sources.TCP,
            container=True,
        ),
        Setting(
            key="net.ipv4.tcp_keepalive_intvl",
            value="10",
            rule="at_most",
            reason="Between two probes of a peer that does not answer.",
            source=sources.TCP,
            container=True,
        ),
        Setting(
            key="net.ipv4.tcp_keepalive_probes",
            value="3",
            rule="at_most",
            reason="Probes without an answer before the connection is given up.",
            source=sources.TCP,
            container=True,
        ),
        Setting(
            key="net.ipv4.tcp_retries2",
            value="8",
            rule="at_most",
            reason="Data without acknowledgement is given up after 102 s, not 924 s; RFC 1122 asks for no less than 100 s.",
            source=f"{sources.IP_SYSCTL}; RFC 1122, 4.2.3.5",
        ),
        Setting(
            key="net.ipv4.tcp_syn_retries",
            value="4",
            rule="at_most",
            reason="A host that is gone is given up after 31 s, not 127 s, by programs that set no time limit themselves.",
            source=sources.IP_SYSCTL,
        ),
        Setting(
            key="net.ipv4.tcp_fin_timeout",
            value="30",
            rule="at_most",
            reason="A closed connection whose peer never closes its side is forgotten after 30 s.",
            source=sources.IP_SYSCTL,
        ),
        Setting(
            key="net.ipv4.tcp_slow_start_after_idle",
            value="0",
            rule="exactly",
            reason="A stream that was quiet for a moment sends its next burst at once: order flow comes in bursts.",
            source=sources.IP_SYSCTL,
        ),
        Setting(
            key="net.ipv4.tcp_mtu_probing",
            value="1",
            reason="A connection whose large packets vanish for want of ICMP goes on with smaller ones.",
            source=f"{sources.IP_SYSCTL}; RFC 4821",
        ),
        Setting(
            key="net.core.netdev_max_backlog",
            value="16384",
            reason="A burst from the network card, or over loopback, waits for a CPU instead of being dropped.",
            source=sources.NET_SYSCTL,
        ),
    ),
)
