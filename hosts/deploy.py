"""What pyinfra's own command runs: the tuning of `make tune`, without its measurement."""

from __future__ import annotations

from pyinfra import host

from hosts import tuning_stage

tuning_stage.apply(host.data.member)
