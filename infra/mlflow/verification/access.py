"""Who gets in, under which name, and what they may do there."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.fault import check

from verification.processes import done
from verification.servers import ADMIN, ADMIN_PASSWORD, Server
from verification.stage import JOB, READER, Stage, migrate, schema
from verification.sweeps import shown

CACHE_SECONDS = 60.0  # `auth_cache_ttl_seconds`
TRIES = 8  # requests that reach both workers of a server


def migrations_wait_for_each_other(stage: Stage) -> dict[str, Any]:
    """Two pods that start at once on empty databases both succeed, and doing it again changes nothing."""
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda pod: migrate(stage.place, pod), ("first", "second")))
    before = schema(stage.place.postgresql)
    migrate(stage.place, "first")
    check(schema(stage.place.postgresql) == before, "the same schema after another migration", before)
    return {"pods": len(both), "tables": before["tables"], "revisions": before["revisions"]}


def replicas_start(stage: Stage) -> dict[str, Any]:
    """Two servers on the same databases, started at once; there is one admin."""
    stage.servers += [Server(stage.place, "first"), Server(stage.place, "second")]
    with ThreadPoolExecutor(2) as pool:
        seconds = list(pool.map(Server.start, stage.servers))
    admins = stage.place.postgresql.query("SELECT username, is_admin FROM users", "mlflow_auth")
    check(admins == f"{ADMIN}|t", "one admin", admins)
    connections = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'mlflow'"
    num, encrypted = stage.place.postgresql.query(f"SELECT count(*), count(*) FILTER (WHERE ssl) {connections}").split(
        "|"
    )
    expected = num if stage.place.postgresql.has_tls else "0"
    check(num != "0" and encrypted == expected, "all connections to PostgreSQL are encrypted, or none", encrypted)
    return {
        "servers": 2,
        "connections": int(num),
        "encrypted": int(encrypted),
        "seconds_to_health": round(max(seconds), 1),
    }


def nobody_gets_in_without_a_login(stage: Stage) -> dict[str, Any]:
    """Pages, both kinds of API and the artifact proxy answer 401; /health does not ask."""
    api, proxy = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
    tried = [
        ("GET", "/"),
        ("GET", f"{api}/experiments/get?experiment_id=0"),
        ("POST", f"{api}/runs/search"),
        ("GET", f"{proxy}?path="),
        ("GET", f"{proxy}/0/x"),
        ("PUT", f"{proxy}/0/x"),
        ("POST", "/graphql"),
        ("POST", f"{api}/users/create"),
    ]
    for login in (None, (ADMIN, "wrong-password"), ("nobody", ADMIN_PASSWORD)):
        for method, path in tried:
            body: object = {} if method in ("POST", "PUT") else None
            status, _ = stage.servers[0].ask(path, login, method=method, body=body)
            check(status == 401, f"{method} {path} as {login and login[0]} is refused", status)
    check(stage.servers[0].ask("/health")[0] == 200, "/health answers without a login")
    return {"requests_refused": 3 * len(tried)}


def hosts_and_origins(stage: Stage) -> dict[str, Any]:
    """The Service's names are let in, with its port; other hosts are not, nor pages from elsewhere."""
    server, login = stage.servers[0], (ADMIN, ADMIN_PASSWORD)
    names = ["mlflow", "mlflow.mlflow", "mlflow.mlflow.svc", "mlflow.mlflow.svc.cluster.local"]
    path, search = "/api/2.0/mlflow/experiments/get?experiment_id=0", "/api/2.0/mlflow/experiments/search"
    for host in [*(f"{name}:5000" for name in names), "localhost:15000"]:
        check(server.ask(path, login, headers={"Host": host})[0] == 200, f"Host {host} is let in")
    refused = ["mlflow.other.svc:5000", "mlflow.mlflow.svc", "evil.example", "mlflow.mlflow.svc:5000.evil.example"]
    for host in refused:
        check(server.ask(path, login, headers={"Host": host})[0] == 403, f"Host {host} is refused")
        check(server.ask("/health", headers={"Host": host})[0] == 200, f"a probe with the Host {host} is answered")
    for origin, expected in (("https://evil.example", 403), ("http://localhost:15000", 200)):
        told = server.ask(search, login, method="POST", headers={"Origin": origin}, body={"max_results": 1})
        check(told[0] == expected, f"Origin {origin}: {expected}", told)
    return {"hosts": len(names) + 1, "hosts_refused": len(refused)}


def users_are_made(stage: Stage) -> dict[str, Any]:
    """As README says; a password that is changed at one server is changed at the other a minute later."""
    first, second = stage.servers
    path, old = f"/api/2.0/mlflow/users/get?username={JOB[0]}", (JOB[0], "another-password")
    for name, password in (old, READER):
        done(first.set_user(name, password), "set_user.py")
    check({second.ask(path, old)[0] for _ in range(TRIES)} == {200}, "the first password is right at all workers")
    done(first.set_user(*JOB), "set_user.py")
    changed = time.monotonic()
    check({second.ask(path, JOB)[0] for _ in range(TRIES)} == {200}, "the new password is right at once")
    while {second.ask(path, old)[0] for _ in range(TRIES)} != {401}:
        check(time.monotonic() < changed + CACHE_SECONDS + 30, "the old one is wrong a minute later")
        time.sleep(2)
    took = time.monotonic() - changed
    for refused in ("short", "nicht-in-ASCII-ö"):
        told = first.set_user("somebody", refused)
        check(told.returncode == 2 and "set_user: somebody" in told.stderr, "refused", told.stderr)
    return {"users": 2, "passwords_refused": 2, "seconds_until_the_old_password_is_wrong": round(took, 1)}


def a_lost_database_refuses_nobody(stage: Stage) -> dict[str, Any]:
    """While PostgreSQL is away, a login that no worker knows yet gets an error of the server: a job tries again."""
    server, path = stage.servers[1], f"/api/2.0/mlflow/users/get?username={READER[0]}"
    stage.place.postgresql.crash()
    seen = [server.ask(path, READER)[0] for _ in range(TRIES)]
    seen += [server.ask("/api/2.0/mlflow-artifacts/artifacts?path=", READER)[0] for _ in range(TRIES)]
    check(server.ask("/health")[0] == 200, "a probe is answered: the pod is not restarted")
    stage.place.postgresql.start()
    check(min(seen) >= 500, "no login is refused", seen)
    check(server.ask(path, READER)[0] == 200, "it is let in when PostgreSQL is back")
    return {"statuses": sorted(set(seen))}


def wrong_login_is_told(stage: Stage) -> dict[str, Any]:
    """A job whose password is wrong, or that has none, ends with exit code 2 and a sentence."""
    url = stage.servers[0].url
    for number, login in enumerate(((JOB[0], "wrong-password"), ("nobody", "wrong-password"), ("", ""))):
        answer, _ = stage.sweeps.run(f"wrong-{number}", url, login=login)
        said = " ".join(answer.said.split())
        check(answer.code == 2, "exit code 2", answer.last_words)
        check("not authenticated" in said and "wrong-password" not in said, "says why", said[-600:])
    return {"jobs_refused": number + 1, "names_what_to_set": "MLFLOW_TRACKING_PASSWORD" in said}


def others_read_alone(stage: Stage) -> dict[str, Any]:
    """Another user sees a run and its artifacts and changes neither."""
    server = stage.servers[0]
    (run_id, _), *_ = shown(server.url, READER, ["undisturbed"])["undisturbed"].items()
    api = "/api/2.0/mlflow/runs"
    tried = [
        ("POST", f"{api}/set-tag", {"run_id": run_id, "key": "k", "value": "v"}),
        ("POST", f"{api}/log-metric", {"run_id": run_id, "key": "k", "value": 1.0, "timestamp": 1}),
        ("POST", f"{api}/delete", {"run_id": run_id}),
        ("POST", "/api/2.0/mlflow/users/create", {"username": "somebody", "password": "long-enough-1"}),
    ]
    for method, path, body in tried:
        told = server.ask(path, READER, method=method, body=body)
        check(told[0] == 403, f"{path} is refused", told)
    return {"requests_refused": len(tried)}
