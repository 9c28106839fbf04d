"""What tools/campaign works with: the back-end that dies, and the load that lives on."""
import json, os, select, shlex, signal, socket, struct, subprocess, sys, time
from pathlib import Path
from suite import Failure, Program

class Backend:
    """A back-end by its command, one process after the other."""

    def __init__(self, command, path, image, directory):
        self.socket, self.directory, self.program = path, directory, None
        self.words = [word.format(socket=path, image=image) for word in shlex.split(command)]

    @property
    def pid(self):
        return self.program.process.pid

    def start(self):
        """Starts the next process. Whoever wants it waits until it listens."""
        self.program = Program("backend", self.words, self.directory)

    def check(self):
        if self.program.status is not None:
            log = Path(self.program.log).read_text(errors="replace").splitlines()
            raise Failure(f"the back-end ended, status {self.program.status}: {' '.join(log[-1:])}")

    def signal(self, number):
        self.check()
        self.program.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.program.process.wait()

    def stop(self):
        """SIGTERM: it must end well. How long it took."""
        self.program.until(lambda: self.program.listens(self.socket), "listen")
        return self.program.stop()

    def close(self):
        if self.program and self.program.status is None:
            self.program.process.kill()
            self.program.process.wait()

class Load:
    """ringway-bench's survive: what it says, line by line."""

    def __init__(self, words, directory, backend):
        backend.program.until(lambda: backend.program.listens(backend.socket), "listen")
        self.backend, self.last, self.pending = backend, {}, b""
        self.log = open(f"{directory}/load.log", "ab+")
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log)

    def say(self, text):
        try:
            self.process.stdin.write(f"{text}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.drain(5)
            raise self.ended() from None

    def until(self, event, limit):
        """Waits for an event. Everything that is found on the way is fatal."""
        deadline = time.monotonic() + limit
        while True:
            news = self.next(min(1.0, deadline - time.monotonic()))
            if news and (news["event"] == "end" or news["findings"]):
                self.drain(5)
                raise Failure("the load has found something")
            if news and news["event"] == event:
                return
            self.backend.check()
            if time.monotonic() > deadline:
                raise Failure(f"the load is not {event} after {limit:g} s")

    def next(self, limit):
        """The next event; None where none comes in time."""
        while b"\n" not in self.pending:
            if not select.select([self.process.stdout], [], [], max(0, limit))[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise self.ended()
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        self.last = json.loads(line)
        return self.last

    def drain(self, limit):
        """Everything that it has still to say."""
        try:
            while self.next(limit):
                pass
        except Failure:
            pass

    def ended(self):
        if self.last.get("findings"):
            return Failure("the load has found something")
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").split("\n")
        return Failure(f"the load ended: {' '.join(said[-2:]).strip()}")

    def end(self):
        self.say("end")
        self.drain(10)
        if self.process.wait(10):
            raise Failure("the load has found something")

    def kill(self):
        self.process.kill()
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            try:
                stream.close()
            except BrokenPipeError:
                pass

class Client:
    """A front-end that asks one thing."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)

    def features(self):
        """GET_FEATURES, and what it says."""
        with self.socket:
            self.socket.sendall(struct.pack("<III", 1, 1, 0))
            answer = self.socket.recv(20, socket.MSG_WAITALL)
        if len(answer) != 20:
            raise Failure("the back-end does not answer the next front-end")
        return struct.unpack("<IIIQ", answer)[3]

class Facts:
    """What a process holds: descriptors, threads, mappings, and KiB of memory."""

    def __init__(self, pid):
        # The kernel's own, which come and go with io_uring's load, do not count.
        threads = [Path(f"/proc/{pid}/task/{task}/comm").read_text()
                   for task in os.listdir(f"/proc/{pid}/task")]
        status = dict(line.split(":", 1) for line in
                      Path(f"/proc/{pid}/status").read_text().splitlines())
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        self.counts = {"descriptors": len(os.listdir(f"/proc/{pid}/fd")),
                       "threads": sum(not name.startswith("iou-") for name in threads),
                       "guest mappings": sum("/memfd:" in line for line in maps)}
        self.resident = int(status["VmRSS"].split()[0])

    def later(self, pid, limit=5.0):
        """A process's, as soon as it holds no more; or what it holds at the deadline."""
        deadline = time.monotonic() + limit
        while (after := Facts(pid)).exceeds(self) and time.monotonic() < deadline:
            time.sleep(0.05)
        return after

    def exceeds(self, before):
        """Whether it holds more of anything; fewer may be what was just being let go."""
        return any(count > before.counts[name] for name, count in self.counts.items())

    def compared(self, after):
        """Rows for people."""
        rows = [(name, f"{old} before, {after.counts[name]} after")
                for name, old in self.counts.items()]
        return rows + [("resident", f"{self.resident} KiB before, {after.resident} KiB after")]

class Progress:
    """A line that is written anew on a terminal; elsewhere a new one each ten seconds."""

    def __init__(self):
        self.is_terminal, self.next, self.width = sys.stderr.isatty(), 0, 0

    def show(self, text):
        if not self.is_terminal and time.monotonic() < self.next:
            return
        self.next = time.monotonic() + 10
        end = "" if self.is_terminal else "\n"
        print(("\r" if self.is_terminal else "") + text.ljust(self.width), end=end, file=sys.stderr,
              flush=True)
        self.width = len(text) if self.is_terminal else 0

    def clear(self):
        if self.width:
            print("\r" + " " * self.width, end="\r", file=sys.stderr, flush=True)
            self.width = 0
