"""A part of the crowd: one process, with a thread and an open connection for each request.

Run as a program. Standard input: one line of JSON, `{"port", "calls": [[path, body], ...]}`, and,
once this has said "ready", a line as the signal to go; headers may come after a body. Standard
output: one line of JSON for each answer, `{"status", "process", "body"}`, with status 0 where the
server hung up without one. This knows nothing of Django, so it starts at once.
"""

import json
import sys
import threading
from http.client import HTTPConnection, HTTPException
from typing import Any

PATIENCE_SECONDS = 60


def post(
    connection: HTTPConnection, path: str, body: dict[str, str], headers: dict[str, str]
) -> dict[str, Any]:
    sent = {"Content-Type": "application/json", **headers}
    connection.request("POST", path, json.dumps(body), sent)
    response = connection.getresponse()
    text = response.read().decode()
    is_json = response.headers.get_content_type() == "application/json"
    return {
        "status": response.status,
        "process": response.headers["X-Process"],
        "body": json.loads(text) if is_json else {"text": text},
    }


def main() -> None:
    job = json.loads(sys.stdin.readline())
    calls = job["calls"]
    connected = threading.Barrier(len(calls) + 1)
    go = threading.Event()
    answers: list[dict[str, Any]] = []

    def call(path: str, body: dict[str, str], headers: dict[str, str] | None = None) -> None:
        connection = HTTPConnection("127.0.0.1", job["port"], timeout=PATIENCE_SECONDS)
        connection.connect()
        connected.wait(PATIENCE_SECONDS)
        go.wait(PATIENCE_SECONDS)
        try:
            answers.append(post(connection, path, body, headers or {}))
        except (OSError, HTTPException) as error:
            answers.append({"status": 0, "process": "", "body": {"text": repr(error)}})
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=each) for each in calls]
    for thread in threads:
        thread.start()
    connected.wait(PATIENCE_SECONDS)
    print("ready", flush=True)
    sys.stdin.readline()
    go.set()
    for thread in threads:
        thread.join()
    for answer in answers:
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
