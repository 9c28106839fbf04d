"""What tools/guest-test and tools/net-test share: a case's programs and guests, and its run."""
import argparse, contextlib, os, shlex, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# What every guest's script begins with.
PRELUDE = r"""
fail() { echo "FAILED: $*" >&2; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1 is '$3', not '$2'"; echo "$1 is $3"; }
"""

# What `ask` does for a guest, on the host. A file that is there is there whole.
HOOK = r"""
cd "$(dirname "$0")"
case "$1" in
put) echo "$3" >"$2.part"; mv "$2.part" "$2" ;;
get) cat "$2" ;;
has) [ -e "$2" ] ;;
"""

class Failure(Exception):
    """What went wrong, in a line."""
class Skip(Exception):
    """Why this case cannot say anything here."""

class Program:
    """A process of a case's, with a log in the case's directory."""

    def __init__(self, name, words, directory, statuses=(0,)):
        """Starts it. It is to end with one of these statuses when it is stopped; None: with any."""
        self.name, self.log, self.stopped = name, f"{directory}/{name}.log", False
        self.statuses = statuses
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def status(self):
        """Its exit status; None while it runs."""
        return self.process.poll()

    def lines(self):
        return Path(self.log).read_text(errors="replace").splitlines()

    def listens(self, path):
        """Asks the kernel: connecting would take the one front-end's place."""
        return any(words[3] == "00010000" and words[-1] == path for words in self.table("unix"))

    def listens_on(self, port):
        """Whether a TCP socket of the program's network namespace listens on a port."""
        return any(words[1].endswith(f":{port:04X}") and words[3] == "0A"
                   for words in [*self.table("tcp"), *self.table("tcp6")])

    def table(self, name):
        """The rows of a table of its network namespace's; none once it has ended."""
        with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/net/{name}") as table:
            return [line.split() for line in table][1:]
        return []

    def until(self, condition, what, limit=20.0):
        """Waits until a condition holds, while the program lives."""
        deadline = time.monotonic() + limit
        while not condition():
            if self.status is not None:
                raise Failure(f"{self.name} ended at once, status {self.status}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} does not {what} after {limit:g} s")
            time.sleep(0.01)

    def stop(self, within=5.0):
        """SIGTERM: it must end well, and soon. How long it took."""
        started, self.stopped = time.monotonic(), True
        self.process.terminate()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end 10 s after SIGTERM") from None
        took = time.monotonic() - started
        if self.statuses and (status not in self.statuses or took > within):
            raise Failure(f"on SIGTERM {self.name} ended with status {status} in {took:.2f} s")
        return took

class Bench:
    """One case's directory, programs and guests."""
    prelude, hook = PRELUDE, HOOK

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.servers, self.guests, self.notes = [], [], []
        self.inside = []  # words before every command: where it runs
        self.put("hook", self.hook + "esac\n")

    def put(self, name, text):
        Path(self.directory, name).write_text(text)

    def serve(self, name, words, **others):
        """Starts a program that must live until it is stopped."""
        self.servers.append(Program(name, [*self.inside, *words], self.directory, **others))
        return self.servers[-1]

    def boot(self, script, *arguments, name="guest", **variables):
        """Boots a guest that works on a script."""
        text = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in variables.items())
        self.put(f"{name}.sh", text + self.prelude + script)
        words = [f"{HERE}/guest", "--script", f"{self.directory}/{name}.sh",
                 "--hook", f"sh {shlex.quote(self.directory)}/hook", "--accel", self.options.accel,
                 "--timeout", str(self.options.timeout), *arguments]
        Path(self.directory, f"{name}.log").unlink(missing_ok=True)  # an earlier guest's
        self.guests.append(Program(name, [*self.inside, *words], self.directory))
        return self.guests[-1]

    def check_servers(self):
        for server in self.servers:
            if server.status is not None and not server.stopped:
                raise Failure(f"{server.name} ended while it served, status {server.status}")

    def told(self, name):
        """Waits until a guest has put a file of this name. Its text."""
        path = Path(self.directory, name)
        while not path.exists():
            self.check_servers()
            if any(guest.status is not None for guest in self.guests):
                self.finish(*self.guests)
                if not path.exists():
                    raise Failure(f"the guests ended before one had said {name}")
            time.sleep(0.02)
        return path.read_text().strip()

    def finish(self, *guests):
        """Waits for guests to end well; whatever serves them must live on."""
        # A guest whose device has gone, or whose peer has failed, may wait for ever: look at all.
        while any(guest.status is None for guest in guests) and not any(
                guest.status for guest in guests):
            self.check_servers()
            time.sleep(0.02)
        self.check_servers()
        for guest in sorted(guests, key=lambda guest: not guest.status):  # what failed comes first
            lines = guest.lines()
            self.notes += [line.partition("note: ")[2] for line in lines if "| note: " in line]
            if guest.status:
                said = [line.partition("FAILED: ")[2] for line in lines if "FAILED: " in line]
                why = said[-1] if said else f"status {guest.status}"
                raise Failure(f"in the {guest.name}: {why}")

    def settle(self):
        """The end of a case that went well: what still serves must end well."""
        for server in reversed(self.servers):
            if not server.stopped:
                server.stop()

    def close(self):
        """Leaves no process behind."""
        for guest in self.guests:
            guest.process.terminate()  # it ends its QEMU
        for program in self.guests + self.servers[::-1]:
            try:
                program.process.wait(10 if program in self.guests else 0)
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()

    def tails(self):
        programs = {program.log: program for program in self.guests + self.servers}
        for log, program in programs.items():
            yield f"---- the end of {os.path.basename(log)}:"
            yield from program.lines()[-25:] or ["(empty)"]

# ---- the suite -----------------------------------------------------------------------------------

def run(name, case, options, bench_type):
    """One case: ok, skipped or FAILED."""
    directory = tempfile.mkdtemp(prefix="ringway-")
    started, outcome, why, details = time.monotonic(), "ok", "", []
    print(f"{name:20}", end="", flush=True)
    with contextlib.ExitStack() as cleanup:
        if not options.keep:
            cleanup.callback(shutil.rmtree, directory)
        bench = bench_type(options, directory)
        try:
            case(bench)
            bench.settle()
        except Skip as skip:
            outcome, why = "skipped", str(skip)
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            outcome, why = "FAILED", str(failure)
        finally:
            listening = catch(lambda *_: None)  # what cleans up is not to be disturbed
            bench.close()
            for number, handler in listening.items():
                signal.signal(number, handler)
        details = bench.notes + (list(bench.tails()) if outcome == "FAILED" else [])
    print(f"{outcome:8}{time.monotonic() - started:6.1f} s  {why}".rstrip())
    for line in details + ([f"kept: {directory}"] if options.keep else []):
        print(f"    {line}")
    return outcome

def catch(handler):
    """Sets what SIGINT and SIGTERM do; says what they did."""
    return {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}

def parser(prog, about, cases, quick, timeout=180):
    p = argparse.ArgumentParser(prog=prog, description=about,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", action="append", choices=cases, metavar="NAME", help="may be repeated")
    p.add_argument("--quick", action="store_true", help=f"only {', '.join(quick)}")
    p.add_argument("--list", action="store_true", help="the cases and what they show")
    p.add_argument("--backend-command", metavar="CMD", help="another back-end, as shown above")
    p.add_argument("--accel", choices=["auto", "kvm", "tcg"], default="auto")
    p.add_argument("--timeout", type=float, default=timeout, metavar="S",
                   help="per guest; default %(default)s")
    p.add_argument("--keep", action="store_true", help="keep each case's directory, with its logs")
    return p

def list_cases(cases):
    print("\n".join(f"{name:20}{case.__doc__}" for name, case in cases.items()))

def run_all(cases, names, options, bench_type):
    """The exit status: 0 when no case failed."""
    catch(lambda number, _: sys.exit(128 + number))  # leave nothing behind
    started = time.monotonic()
    outcomes = [run(name, cases[name], options, bench_type) for name in names]
    print(f"{outcomes.count('skipped')} skipped, {time.monotonic() - started:.0f} s in all\n"
          f"{outcomes.count('ok')} passed, {outcomes.count('FAILED')} failed")
    return 1 if "FAILED" in outcomes else 0
