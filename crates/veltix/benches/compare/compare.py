"""The Python library's own benchmark and ours, side by side.

    compare.py PROGRAM FOLDER [ROUNDS]

Runs the rows of the library's benchmark as it ships them, then PROGRAM with the same rows, each in
a process of its own, one after the other, ROUNDS times. Writes original-N.json and ours-N.json to FOLDER, and
prints the median of each figure that can be compared.
"""
import contextlib
import io
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path


class Window:
    """Processor time of a paced row's ticks alone, without connecting, waiting and ending: from its
    look at memory before the first tick to the pause after the last, which is what ours measures."""

    PAUSE = 0.5

    def __init__(self, row):
        self.row, self.ram_mb = row, row.ram_mb
        self.begin = self.end = None

    def __enter__(self):
        self.row.ram_mb, self.row.time = self.look, self
        return self

    def __exit__(self, *_):
        self.row.ram_mb, self.row.time = self.ram_mb, time

    def look(self):
        ram = self.ram_mb()
        if self.begin is None:
            self.begin = time.process_time()
        return ram

    # What the row takes of `time`.
    perf_counter = staticmethod(time.perf_counter)

    def sleep(self, seconds):
        if seconds == self.PAUSE and self.begin is not None and self.end is None:
            self.end = time.process_time()
        time.sleep(seconds)

    def cpu(self):
        return self.end - self.begin


def original():
    """All rows in this process, as the library's own command does it, and what it leaves out."""
    from veltix import Client, ClientConfig, Logger, LoggerConfig, LogLevel, MessageType
    from veltix import Request, Server, ServerConfig
    Logger.get_instance(LoggerConfig(level=LogLevel.ERROR))
    from veltix.benchmark.benches import burst, fps, latency, memory, stress
    from veltix.benchmark.config import PORT_FPS_1, PORT_FPS_2
    from veltix.benchmark.export import build_json

    def run(row, *arguments):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            result = row(*arguments)
        return result, said.getvalue()

    def paced(*arguments):
        with Window(fps) as window:
            result, _ = run(fps.run, *arguments)
        return result, window.cpu()

    mem, _ = run(memory.run)
    lat, said = run(latency.run, 2_000)
    ping_rate = float(re.search(r"([\d,]+) ping/s", said)[1].replace(",", ""))
    fps64, cpu64 = paced(64, 64, 5.0, PORT_FPS_1)
    fps128, cpu128 = paced(128, 20, 5.0, PORT_FPS_2)
    bur, _ = run(burst.run, 10_000, 64)
    stre, said = run(stress.run, 100, 100)
    last = float(re.search(r"Last recv at\s*:\s*([\d.,]+) ms", said)[1].replace(",", ""))
    report = build_json(mem, lat, fps64, fps128, bur, stre)
    results = report["results"]
    results["memory"]["client_cost_10_to_50_kb"] = (mem.ram_50_clients_kb - mem.ram_10_clients_kb) / 40
    results["latency"]["ping_per_sec"] = ping_rate
    results["fps_64"]["cpu_percent"] = round(cpu64 / fps64.duration_s * 100, 1)
    results["fps_128"]["cpu_percent"] = round(cpu128 / fps128.duration_s * 100, 1)
    results["burst"]["recv_throughput_by_last_arrival"] = round(bur.count / bur.recv_lat_max_ms * 1000, 1)
    results["stress"]["throughput_by_last_arrival"] = round(stre.total_recv / last * 1000, 1)

    echo = MessageType(250, "echo")
    server = Server(ServerConfig(host="127.0.0.1", port=20_007))

    @server.route(echo)
    def answer(response, client):
        reply = Request(echo, response.content)
        reply.respond(response)
        server.get_sender().send(reply, client=client.conn)

    server.start()
    time.sleep(0.3)
    client = Client(ClientConfig(server_addr="127.0.0.1", port=20_007))
    client.connect()

    def many(once):
        for _ in range(100):
            once()
        samples = []
        for _ in range(3000):
            start = time.perf_counter()
            once()
            samples.append((time.perf_counter() - start) * 1e6)
        samples.sort()
        at = lambda percent: round(samples[len(samples) * percent // 100], 2)
        return {"count": len(samples), "avg_us": round(statistics.mean(samples), 2), "p50_us": at(50),
                "p95_us": at(95), "p99_us": at(99), "max_us": round(samples[-1], 2)}

    ping = many(lambda: client.ping_server(timeout=2.0))
    echoed = many(lambda: client.send_and_wait(Request(echo, b"x" * 64)))
    # It is compared with ours in both of our modes.
    results["round_trip"] = {
        "ping": ping, "ping_high": ping, "echo_64_bytes": echoed, "echo_64_bytes_high": echoed,
    }
    client.disconnect()
    server.close_all()
    print(json.dumps(report))


# What is compared, in which direction it is better, and the goal of how many times.
ROWS = [
    ("burst: sent per second", "burst send_throughput", True, 20),
    ("burst: received per second, as shipped", "burst recv_throughput", True, 20),
    ("burst: received per second, by the last", "burst recv_throughput_by_last_arrival", True, 20),
    ("stress: per second, as shipped", "stress throughput", True, 20),
    ("stress: per second, by the last", "stress throughput_by_last_arrival", True, 20),
    ("round trip of a ping, p50, us", "round_trip ping p50_us", False, 10),
    ("round trip of a ping, p99, us", "round_trip ping p99_us", False, 10),
    ("round trip of 64 bytes, p50, us", "round_trip echo_64_bytes p50_us", False, 10),
    ("round trip of a ping, ours in High, p50", "round_trip ping_high p50_us", False, 10),
    ("round trip of 64 bytes, ours in High, p50", "round_trip echo_64_bytes_high p50_us", False, 10),
    ("pings per second", "latency ping_per_sec", True, 10),
    ("memory of a client, first ten, kB", "memory client_cost_avg_kb", False, 10),
    ("memory of a client, 10 to 50, kB", "memory client_cost_10_to_50_kb", False, 10),
    ("memory of an idle server, kB", "memory server_idle_kb", False, None),
    ("memory of 50 clients, whole process, kB", "memory ram_50_clients_kb", False, None),
    ("burst: content, MB per second, as shipped", "burst data_mbps", True, None),
] + [
    (f"{players} players: {what}", f"fps_{players} {path}", more, None)
    for players in (64, 128)
    for what, path, more in [
        ("messages per second, paced", "msg_per_sec", True),
        ("a tick, ms", "tick_avg_ms", False),
        ("the longest tick, ms", "tick_max_ms", False),
        ("ticks that were too long", "overrun_ticks", False),
        ("processor, %", "cpu_percent", False),
    ]
]
# Beside what two bare threads take for 22 bytes to and fro, in the same process as ours.
BARE = "round_trip two_bare_threads p50_us"
ROUND_TRIPS = [
    ("ping, times two bare threads", "round_trip ping p50_us"),
    ("64 bytes, times two bare threads", "round_trip echo_64_bytes p50_us"),
    ("ping in mode High, times two bare threads", "round_trip ping_high p50_us"),
]


def figure(report, path):
    value = report["results"]
    for part in path.split():
        value = value[part]
    return value


def main():
    program, folder = sys.argv[1], Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    folder.mkdir(parents=True, exist_ok=True)
    theirs, ours = [], []
    for number in range(1, rounds + 1):
        for name, command, reports in [
            ("original", [sys.executable, __file__, "--original"], theirs),
            ("ours", [program], ours),
        ]:
            print(f"round {number}: {name}", file=sys.stderr)
            text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            (folder / f"{name}-{number}.json").write_text(text)
            reports.append(json.loads(text))
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{rounds} rounds, medians; load average at the end {load}")
    print(f"{'':42} {'Python 1.6.3':>14} {'ours':>14} {'times':>8}  goal")
    for name, path, more, goal in ROWS:
        a = statistics.median(figure(report, path) for report in theirs)
        b = statistics.median(figure(report, path) for report in ours)
        times = (b / a if more else a / b) if a and b else None
        mark = "" if goal is None else f"{goal}x {'met' if times and times >= goal else 'NOT met'}"
        shown = "-" if times is None else f"{times:.1f}"
        print(f"{name:42} {a:14,.1f} {b:14,.1f} {shown:>8}  {mark}")
    bare = statistics.median(figure(report, BARE) for report in ours)
    for name, path in ROUND_TRIPS:
        a, b = (statistics.median(figure(report, path) for report in each) / bare
                for each in (theirs, ours))
        print(f"{name:42} {a:14,.1f} {b:14,.1f} {a / b:8.1f}")
    print(f"two bare threads, the system's own round trip, p50: {bare:.1f} us")


if sys.argv[1:] == ["--original"]:
    original()
else:
    main()
