"""tools/campaign guest: a back-end is killed under a guest in QEMU whose fio verifies."""
import random, time
import suite
from campaign_load import Backend, Facts, Progress
from suite import Failure

SCRIPT = r"""
rounds=0
ask put begun yes
until ask has stop; do
    fio --name=load --filename=/dev/vda --ioengine=libaio --direct=1 --bs=4k --iodepth=32 \
        --rw=randwrite --verify=crc32c --verify_fatal=1 --verify_state_save=0 --randseed=$RANDOM \
        --size=$SIZE --numjobs=4 --offset_increment=$SIZE --group_reporting >/tmp/fio 2>&1 ||
        { cat /tmp/fio; dmesg | tail -20; fail "fio, in round $rounds"; }
    rounds=$((rounds + 1))
    ask put rounds $rounds
done
if dmesg | grep -iE 'I/O error|blk_update_request|timed out|blocked for more'; then
    fail "the guest's log"
fi
echo "note: fio wrote and verified the disk $rounds times"
"""

class Bench(suite.Bench):
    """The guest's image, and the back-end that dies under it."""

    def __init__(self, options, directory):
        super().__init__(options, directory)
        image = f"{directory}/disk.img"
        with open(image, "wb") as file:
            file.truncate(options.size << 20)
        self.backend = Backend(options.backend_command, f"{directory}/disk.sock", image, directory)

    def check_servers(self):
        self.backend.check()

    def is_attached(self):
        """Whether a front-end is connected: the socket's own row, and one for each connection."""
        return any(words[5] == "03" and words[-1] == self.backend.socket
                   for words in self.backend.program.table("unix"))

    def close(self):
        super().close()
        self.backend.close()

def case(bench):
    options, backend = bench.options, bench.backend
    chance, progress, longest = random.Random(options.seed), Progress(), 0
    backend.start()
    backend.program.until(lambda: backend.program.listens(backend.socket), "listen")
    device = ["--device-option=packed=on"] if options.packed else []
    guest = bench.boot(SCRIPT, "--smp=4", "--num-queues=4", "--socket", backend.socket,
                       "--reconnect", *device, SIZE=f"{options.size // 4}M")
    bench.told("begun")
    before = Facts(backend.pid)
    for number in range(1, options.times + 1):
        time.sleep(chance.uniform(0.1, 1.5))
        backend.kill()
        died = time.monotonic()
        time.sleep(chance.uniform(0, 0.2))
        backend.start()
        while not bench.is_attached():
            bench.check_servers()
            if guest.status is not None:
                bench.finish(guest)
                raise Failure("the guest ended")
            if time.monotonic() - died > 20:
                raise Failure("QEMU does not come back")
            time.sleep(0.005)
        longest = max(longest, time.monotonic() - died)
        progress.show(f"{number} of {options.times}")
    progress.clear()
    after = before.later(backend.pid)
    bench.put("stop", "yes")
    bench.finish(guest)
    backend.stop()
    bench.notes += [f"seed {options.seed}: killed {options.times} times, "
                    f"{longest:.2f} s without a back-end at most",
                    *(f"{name}: {text}" for name, text in before.compared(after))]

case.__doc__ = "kill -9 under a QEMU guest"

def run(options):
    """The exit status."""
    options.timeout = 120 + 20 * options.times
    return suite.run_all({"guest": case}, ["guest"], options, Bench)
