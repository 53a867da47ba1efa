"""Make a user, or give one another password, which is read from stdin.

    kubectl -n mlflow exec -i deployment/mlflow -c mlflow -- python /opt/scripts/set_user.py NAME < password-file

It asks the server in its own pod, as the admin of the pod's variables. Where the admin itself gets another password,
the Secret mlflow-server must get it, too: MLflow reads it only while there is no admin. Exit code 2: refused.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request

USERS = os.environ.get("MLFLOW_URL", "http://127.0.0.1:5000") + "/api/2.0/mlflow/users"


def ask(method: str, path: str, body: dict[str, str]) -> str:
    """The answer to a request as the admin; the error code of MLflow if it refuses."""
    login = f"{os.environ['MLFLOW_AUTH_ADMIN_USERNAME']}:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(f"{USERS}/{path}", json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30):
            return ""
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        if error.code == 401:
            return "the admin's login is refused: the Secret mlflow-server is not what the database has"
        try:
            return str(json.loads(text)["error_code"]) + ": " + str(json.loads(text).get("message", ""))[:200]
        except (ValueError, KeyError):
            return f"{error.code}: {text[:200]}"


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    (name,) = arguments
    password, done = sys.stdin.read().rstrip("\n"), "made"
    if (name + password).isascii():
        refused = ask("POST", "create", {"username": name, "password": password})
    else:
        refused = "name or password is not in ASCII, which MLflow 3.17's artifact proxy answers with 401: take another"
    if refused.startswith("RESOURCE_ALREADY_EXISTS"):
        refused, done = (
            ask("PATCH", "update-password", {"username": name, "password": password}),
            "has another password",
        )
    if refused:
        print(f"set_user: {name}: {refused}", file=sys.stderr)
        raise SystemExit(2)
    print(f"set_user: {name}: {done}")


if __name__ == "__main__":
    main(sys.argv[1:])
