"""Uses all of confluent-kafka against a real cluster: every test is a function of a module
test_*.py, run side by side with the others, and gets a Case.

The summary is one JSON document on standard output, and nothing else is printed: which tests
passed, were skipped (with the reason) or failed, their results, which must not depend on how the
client was configured, and what was observed of the configuration. The clients of a test have the run's
name and the test's in their client.id. Exit status 1: a test failed.
"""

import argparse
import concurrent.futures
import importlib
import json
import pathlib
import sys
import time
import traceback
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import api  # noqa: E402
from case import Case, Cluster, Skipped  # noqa: E402


def tests():
    for file in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(file.stem)
        for name, value in vars(module).items():
            if name.startswith("test_"):
                yield f"{file.stem}.{name}".replace("test_", ""), value


def run(name, test, cluster, prefix):
    case = Case(name, cluster, prefix)
    outcome = {"name": name, "case": case}
    started = time.monotonic()
    try:
        test(case)
        outcome["passed"] = True
    except Skipped as reason:
        outcome["skipped"] = str(reason)
    except BaseException:  # a test must not end the others
        outcome["failed"] = traceback.format_exc()
    outcome["seconds"] = round(time.monotonic() - started, 2)
    return outcome


def every_public_class_is_used(case):
    """After all tests."""
    assert api.unused() == [], f"used by no test: {api.unused()}"
    assert api.needlessly_allowed() == [], api.needlessly_allowed()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--sasl", required=True, help="the listener for logins")
    parser.add_argument("--only", default="", help="tests whose names contain this")
    parser.add_argument("--times", action="store_true", help="tell how long each test took")
    return parser.parse_args()


def main():
    options = arguments()
    cluster = Cluster(options.brokers, options.sasl)
    prefix = uuid.uuid4().hex[:8]
    wanted = [(name, test) for name, test in tests() if options.only in name]
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        outcomes = list(pool.map(lambda each: run(*each, cluster, prefix), wanted))
    if not options.only:
        outcomes.append(run("every_public_class_is_used", every_public_class_is_used, cluster, prefix))
    summary = {
        "client": api.version(),
        "engine": api.engine(),
        "run": prefix,
        "passed": [each["name"] for each in outcomes if "passed" in each],
        "skipped": {each["name"]: each["skipped"] for each in outcomes if "skipped" in each},
        "failed": {each["name"]: each["failed"] for each in outcomes if "failed" in each},
        "results": {each["name"]: each["case"].results for each in outcomes},
        "observed": {each["name"]: each["case"].observed for each in outcomes if each["case"].observed},
    }
    if options.times:
        summary["seconds"] = {each["name"]: each["seconds"] for each in outcomes}
    print(json.dumps(summary, indent=1))
    sys.exit(1 if summary["failed"] else 0)


if __name__ == "__main__":
    main()
