"""Programs that take turns on one machine, and what the machine did meanwhile. The protocol is in tools/bench/compare."""
import json
import os
import select
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Late(Exception):
    """The time of the whole comparison is over."""


class Ended(Exception):
    """A side is gone: what was seen of its end."""


def machine_seconds():
    """CPU seconds so far on the cores this program may use: by anybody, and taken away by the hypervisor (steal)."""
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    used = stolen = 0.0
    with open("/proc/stat") as stat:
        for line in stat:
            name, *words = line.split()
            if name in cores:
                user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) / TICKS for word in words[:8])
                used += user + nice + system + irq + softirq
                stolen += steal
    return used, stolen


def processes():
    """Of every process: parent, CPU seconds and minor faults, those of collected children included."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        table[int(entry)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS, int(fields[7]) + int(fields[8]))
    return table


def family(root, table):
    """The process and everything below it that still exists."""
    members, grown = {root} & table.keys(), True
    while grown:
        fresh = {child for child, (parent, _, _) in table.items() if parent in members} - members
        members |= fresh
        grown = bool(fresh)
    return members


def usage(root):
    """CPU seconds and minor faults of a process and everything below it."""
    table = processes()
    members = family(root, table)
    return sum(table[member][1] for member in members), sum(table[member][2] for member in members)


def peak_mib(root):
    """The sum of the largest resident sets of a process and everything below it; shared pages count in each."""
    total = 0
    for member in family(root, processes()):
        try:
            with open(f"/proc/{member}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1024


class Side:
    """One program of the comparison: a process, with its ranks, that speaks the protocol.

    Every process of a side is stopped (SIGSTOP) while it is not its turn, so that nothing of it can run: no thread of an
    allocator, no message library that polls. Its process group is its own: when this program dies, the kernel sends the
    stopped group SIGHUP and SIGCONT, and a running side finds the end of its input; nothing stays behind.
    """

    def __init__(self, name, command, environment, deadline):
        self.name, self.deadline, self.pending = name, deadline, b""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
                                        env={**os.environ, **environment})
        try:
            self.hello = self.answer()
            if not self.hello.get("ready"):
                raise SystemExit(f"error: {name} answered {self.hello} instead of ready")
        except BaseException:
            self.end()
            raise
        self.pause()

    def signal_all(self, number):
        for member in family(self.process.pid, processes()):
            try:
                os.kill(member, number)
            except ProcessLookupError:
                continue

    def pause(self):
        self.signal_all(signal.SIGSTOP)

    def wake(self):
        self.signal_all(signal.SIGCONT)

    def answer(self):
        while b"\n" not in self.pending:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Late(self.name)
            fresh = os.read(self.process.stdout.fileno(), 1 << 16)
            if not fresh:
                raise Ended(f"{self.name} ended with code {self.process.wait()} instead of answering")
            self.pending += fresh
        line, _, self.pending = self.pending.partition(b"\n")
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise SystemExit(f"error: {self.name} printed something else than JSON on stdout: {line.decode()}") from None

    def ask(self, command):
        """Wakes the side for one command. Whatever happens, it is stopped again."""
        self.wake()
        try:
            self.process.stdin.write(f"{command}\n".encode())
            self.process.stdin.flush()
            return self.answer()
        except BrokenPipeError:
            raise Ended(f"{self.name} ended with code {self.process.wait()}") from None
        finally:
            self.pause()

    def turn(self, steps, batch):
        """A group of steps: the answer, with CPU seconds and faults of the side and the cores used by others."""
        used, stolen = machine_seconds()
        everyone, (own, faults), start = usage(os.getpid())[0], usage(self.process.pid), time.monotonic()
        record = self.ask(f"go {steps}")
        wall = time.monotonic() - start
        if record.get("images") != steps * batch or "seconds" not in record:
            raise SystemExit(f"error: {self.name} answered {record} to 'go {steps}' with a global batch of {batch}")
        used_after, stolen_after = machine_seconds()
        everyone_after, (own_after, faults_after) = usage(os.getpid())[0], usage(self.process.pid)
        return {
            "images_per_s": record["images"] / record["seconds"], "step_s": record["seconds"] / steps,
            "foreign_cores": max(0.0, (used_after - used - (everyone_after - everyone)) / wall),
            "steal_cores": (stolen_after - stolen) / wall, "cpu_s": (own_after - own) / steps,
            "faults": (faults_after - faults) / steps,
        }

    def end(self):
        """Ends all its processes: in order when they answer within ten seconds, by force otherwise."""
        members = family(self.process.pid, processes())
        self.wake()
        try:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            pass
        for member in members & processes().keys():
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
