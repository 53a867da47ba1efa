"""What the manifests promise, each as a function that tries it and says what it saw, in the order of trying."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from verification import access, losses
from verification.stage import Stage

CLAIMS: tuple[Callable[[Stage], dict[str, Any]], ...] = (
    access.migrations_wait_for_each_other,
    access.replicas_start,
    access.nobody_gets_in_without_a_login,
    access.hosts_and_origins,
    access.users_are_made,
    access.a_lost_database_refuses_nobody,
    access.wrong_login_is_told,
    losses.a_sweep_runs,
    access.others_read_alone,
    losses.a_database_that_crashes_loses_nothing,
    losses.a_server_that_is_killed_loses_nothing,
    losses.a_backup_is_taken_while_jobs_write,
    losses.a_restore_gives_everything_back,
    losses.nothing_is_written_elsewhere,
)
