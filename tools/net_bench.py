"""What a case of tools/net-test stands in: a network namespace, back-ends, DPDK's driver."""
import hashlib, os, re, secrets, selectors, shlex, shutil, subprocess, time
import suite
from suite import Failure, Skip

# The case's side of a TAP, by the TAP's number: documentation's own addresses.
SUBNETS = [("192.0.2.1/24", "2001:db8::1/64"), ("198.51.100.1/24", "2001:db8:1::1/64")]
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs"]

HOOK = suite.HOOK + r"""
tap-delete) ip link delete tap0 ;;
tap-restore)
    # The back-end may make it again itself, and be faster.
    ip tuntap add tap0 mode tap 2>/dev/null || ip link show tap0
    ip addr add 192.0.2.1/24 dev tap0
    ip addr add 2001:db8::1/64 dev tap0 nodad
    ip link set tap0 up ;;
"""

# What tcpdump -vv says of a packet's sums.
BAD_SUM = re.compile(r"incorrect|bad (udp |icmp6 )?cksum|wrong icmp cksum", re.IGNORECASE)
GOOD_SUM = re.compile(r"\(correct\)|sum ok")

class Bench(suite.Bench):
    """With a network namespace of its own, in which everything runs."""
    hook = HOOK

    def __init__(self, options, directory):
        super().__init__(options, directory)
        self.namespace, self.socket = None, f"{directory}/net.sock"

    def make_namespace(self):
        self.namespace = f"ringway-{secrets.token_hex(4)}"
        self.run("ip", "netns", "add", self.namespace)
        self.inside = ["ip", "netns", "exec", self.namespace]
        self.ip("link set lo up")

    def close(self):
        super().close()
        if self.namespace:  # and with it every TAP in it
            subprocess.run(["ip", "netns", "delete", self.namespace], stderr=subprocess.DEVNULL)

    @staticmethod
    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"{shlex.join(words)}: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    def ip(self, words):
        return self.run("ip", "-n", self.namespace, *words.split())

    def has_link(self, name):
        return f" {name}: " in self.ip("-o link show")

    def address(self, link, number=0, mtu=1500):
        ipv4, ipv6 = SUBNETS[number]
        self.ip(f"addr add {ipv4} dev {link}")
        self.ip(f"addr add {ipv6} dev {link} nodad")
        self.ip(f"link set {link} mtu {mtu} up")

    # ---- back-ends. Each gives the arguments by which tools/guest attaches to it.

    def words(self, command, options, **places):
        """A command's words with places for sockets and the like filled in."""
        words = shlex.split(command)
        if options and "{options}" not in words:
            raise Skip("needs Ringway's options")
        if "/" in words[0] and not os.access(words[0], os.X_OK):
            raise Failure(f"no {words[0]}: swift build -c release --product "
                          f"{os.path.basename(words[0])}")
        return [part for word in words for part in (
            options if word == "{options}" else [word.format(**places)])]

    def serve_port(self, port, *options, prefix=(), tap=""):
        """ringway-net with a port, once it listens."""
        if self.options.qemu:
            raise Skip("has nothing of QEMU's to stand in")
        words = self.words(self.options.backend_command, options, socket=self.socket, port=port,
                           tap=tap)
        server = self.serve("ringway-net", [*prefix, *words], statuses=self.options.statuses)
        server.until(lambda: server.listens(self.socket), "listen")
        return ["--net", self.socket]

    def on_tap(self, *options, number=0, pairs=1, mtu=1500, given=False):
        """A device on a TAP, which the back-end makes or is given, with the case's addresses."""
        tap, more = f"tap{number}", [f"--queue-pairs={pairs}"] if pairs > 1 else []
        if given:
            self.own_tap(tap, "multi_queue")
        if self.options.qemu:
            self.own_tap(tap, "multi_queue" if pairs > 1 else "")
            attach = ["--tap", tap]
        else:
            attach = self.serve_port(f"tap:{tap}", *more, *options, tap=tap)
            self.servers[-1].until(lambda: self.has_link(tap), f"make {tap}")
        self.address(tap, number, mtu)
        return [*attach, *more]

    def own_tap(self, name, more=""):
        self.ip(f"tuntap add {name} mode tap vnet_hdr {more}")

    def switch(self, *options):
        """ringway-switch with two ports: the arguments for a guest on each."""
        if self.options.qemu:  # the kernel's bridge stands in
            if options:
                raise Skip("has nothing of QEMU's to stand in")
            self.ip("link add bridge0 type bridge forward_delay 0")
            self.ip("link set bridge0 mtu 9000 up")
            for number in range(2):
                self.own_tap(f"tap{number}")
                self.ip(f"link set tap{number} mtu 9000 master bridge0 up")
            return [["--tap", f"tap{number}"] for number in range(2)]
        if not self.options.switch_command:
            raise Skip("needs --switch-command")
        sockets = [f"{self.directory}/port{number}.sock" for number in range(2)]
        words = self.words(self.options.switch_command, options, socket0=sockets[0],
                           socket1=sockets[1])
        server = self.serve("ringway-switch", words, statuses=self.options.statuses)
        server.until(lambda: all(map(server.listens, sockets)), "listen")
        return [["--net", socket] for socket in sockets]

    # ---- programs beside them

    def iperf(self):
        """iperf3's server, on all addresses of the namespace."""
        server = self.serve("iperf3", ["iperf3", "--server"], statuses=None)
        server.until(lambda: server.listens_on(5201), "listen")

    def web(self, size):
        """An HTTP server with a random file, /blob; its SHA-256 is what a guest gets as `sum`."""
        os.mkdir(f"{self.directory}/web")
        blob = os.urandom(size)
        with open(f"{self.directory}/web/blob", "wb") as file:
            file.write(blob)
        self.put("sum", hashlib.sha256(blob).hexdigest())
        server = self.serve("httpd", ["busybox", "httpd", "-f", "-p", "192.0.2.1:8000",
                                      "-h", f"{self.directory}/web"], statuses=None)
        server.until(lambda: server.listens_on(8000), "listen")

    def passt(self):
        """passt as nobody, once it listens. The host's side is one end of a veth pair."""
        place = f"{self.directory}/nobody"
        if not os.path.exists(place):
            os.mkdir(place)
            shutil.chown(place, "nobody", "nogroup")
            os.chmod(self.directory, 0o711)
            self.ip("link add host0 type veth peer name host1")
            self.ip("link set host1 up")
            self.address("host0")
            self.ip("route add default via 192.0.2.254 dev host0")
        path = f"{place}/passt.sock"
        if os.path.exists(path):
            os.unlink(path)
        # The guest's gateway is the host's own address, and stays so: not mapped to 127.0.0.1.
        server = self.serve("passt", [*NOBODY, *(
            f"passt --foreground --socket {path} --interface host0 --address 192.0.2.15 "
            "--netmask 24 --gateway 192.0.2.1 --no-map-gw --dns none").split()], statuses=None)
        server.until(lambda: server.listens(path), "listen")
        return server, path

    def behind_passt(self, path):
        """A device whose port is passt; nobody runs the back-end, too, if nobody can reach it."""
        if self.options.qemu:
            return ["--passt", path]
        binary = shlex.split(self.options.backend_command)[0]
        reached = subprocess.run([*NOBODY, binary, "--help"], capture_output=True).returncode == 0
        if not reached:
            self.notes.append(f"nobody cannot run {binary}: root runs it")
        self.socket = f"{os.path.dirname(path)}/net.sock"
        return self.serve_port(f"passt:{path}", prefix=NOBODY if reached else ())

    def sniff(self, link):
        """Captures what comes in through a link; call the result for the verdict."""
        file = f"{self.directory}/sniffed"
        sniffer = self.serve("tcpdump", ["tcpdump", "-Z", "root", "-i", link, "-Q", "in", "-U",
                                         "-c", "20000", "-w", file], statuses=None)
        sniffer.until(lambda: any("listening on" in line for line in sniffer.lines()), "listen")
        sniffer.stopped = True  # it ends by itself after so many packets
        def verdict():
            if sniffer.status is None:
                sniffer.stop()
            shown = self.run("tcpdump", "-nn", "-vv", "-r", file).splitlines()
            bad = [line for line in shown if BAD_SUM.search(line)]
            good = sum(bool(GOOD_SUM.search(line)) for line in shown)
            if bad or good < 100:
                raise Failure(f"on {link}: {good} good sums, {len(bad)} bad: {bad[:1]}")
            self.notes.append(f"{link}: {good} good sums, none bad")
        return verdict

    def check_lines(self, most, since):
        """What happens once is said once: the back-end's log has not grown by more lines."""
        grown = len(self.servers[0].lines()) - since
        if grown > most:
            raise Failure(f"the back-end said {grown} lines of it")

class Testpmd:
    """DPDK's test program with virtio-user devices: a driver of virtio-net in user space."""

    def __init__(self, bench, sockets, variant, pairs=1):
        devices = [f"--vdev=net_virtio_user{number},path={socket},queue_size=1024,queues={pairs},"
                   f"mac={self.mac(number)},{variant}" for number, socket in enumerate(sockets)]
        # Output by the word, or prompts would come before what they follow; no huge pages.
        words = ["env", f"RUNTIME_DIRECTORY={bench.directory}", "stdbuf", "--output=0",
                 "dpdk-testpmd", "--lcores=0@0,1@0", "--no-pci", "--no-huge", "-m", "256",
                 "--no-shconf", "--no-telemetry", *devices, "--",
                 "--interactive", "--no-mlockall", "--no-flush-rx", "--total-num-mbufs=16384",
                 "--rxd=1024", "--txd=1024", f"--rxq={pairs}", f"--txq={pairs}",
                 f"--port-topology={'paired' if len(sockets) == 2 else 'loop'}"]
        self.bench, self.count = bench, len(sockets)
        self.log = open(f"{bench.directory}/testpmd.log", "ab")
        self.process = subprocess.Popen([*bench.inside, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        try:
            self.answer(40)
            for number in range(self.count):
                self.ask(f"set eth-peer {number} {self.mac((number + 1) % self.count)}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    @staticmethod
    def mac(number):
        return f"52:54:00:00:01:0{number}"

    def ask(self, command, limit=20.0):
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        return self.answer(limit)

    def answer(self, limit):
        """What it says until it asks for a command again."""
        said, deadline = b"", time.monotonic() + limit
        while not said.endswith(b"testpmd> "):
            self.bench.check_servers()
            if self.selector.select(0.2):
                data = os.read(self.process.stdout.fileno(), 65536)
                self.log.write(data)
                self.log.flush()
                said += data
                if not data:
                    raise Failure(f"testpmd ended, status {self.process.wait()}: "
                                  f"{said.decode().strip().splitlines()[-1:]}")
            if time.monotonic() > deadline:
                raise Failure(f"testpmd said nothing for {limit:g} s")
        return said.decode(errors="replace")

    def counts(self):
        """By port: packets received and sent, and everything that testpmd counts as an error."""
        names = "RX-packets RX-missed RX-errors RX-nombuf TX-packets TX-errors".split()
        ports = self.ask("show port stats all").split("NIC statistics for port")[1:]
        if len(ports) != self.count:
            raise Failure(f"testpmd counts for {len(ports)} ports, not {self.count}")
        found = [{name: int(re.search(rf"{name}: +(\d+)", port)[1]) for name in names}
                 for port in ports]
        return [(port["RX-packets"], port["TX-packets"],
                 sum(port[name] for name in names if name not in ("RX-packets", "TX-packets")))
                for port in found]

    def circulate(self, mode, size, seconds):
        """Lets 32 packets of each queue go round, then takes in those that are still under way.
        What a port sent, its peer must have received. How many packets there were."""
        for command in ("clear port stats all", f"set txpkts {size}", f"set fwd {mode}",
                        "start tx_first 1"):
            self.ask(command)
        time.sleep(seconds)
        self.ask("stop")
        self.ask("set fwd rxonly")
        self.ask("start")
        deadline = time.monotonic() + 5
        while True:
            counts = self.counts()
            received, sent = [port[0] for port in counts], [port[1] for port in counts]
            if received == sent[::-1] or time.monotonic() > deadline:
                break
        self.ask("stop")
        errors = sum(port[2] for port in counts)
        if received != sent[::-1] or errors:
            raise Failure(f"{size} bytes: sent {sent}, received {received}, {errors} errors")
        if sum(sent) < 64 * len(sent):
            raise Failure(f"{size} bytes: only {sent} packets went round")
        return sum(sent)
