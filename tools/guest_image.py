"""What tools/guest boots: a kernel of the host's, and an initramfs built from its programs."""
import contextlib, glob, hashlib, lzma, os, re, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.path.dirname(HERE), ".build", "guest")
PROGRAMS = """bash fio mkfs.ext4 e2fsck blkdiscard lsblk blockdev fallocate fstrim
              md5sum sha256sum dd cmp truncate taskset""".split()
MODULES = "virtio_pci virtio_blk virtio_net 8021q qemu_fw_cfg vfat nls_ascii nls_cp437".split()
# A guest on an overcommitted host is slow, not broken: no watchdog may speak of it, and no timer
# that ticked late at the start be taken for a dead one.
KERNEL_OPTIONS = ("console=ttyS0 quiet panic=0 mitigations=off nowatchdog no_timer_check "
                  "rcupdate.rcu_cpu_stall_suppress=1")

class Failure(Exception):
    """One line for the user, naming the fix."""

def say(text):
    print(f"guest: {text}", file=sys.stderr, flush=True)

def kernel():
    """The newest installed kernel whose modules are there too: (version, image)."""
    def age(version):
        return [int(n) for n in re.findall(r"\d+", version)]
    images = {path.partition("vmlinuz-")[2]: path for path in glob.glob("/boot/vmlinuz-*")}
    versions = [v for v in images if os.path.exists(f"/lib/modules/{v}/modules.dep")]
    if not versions:
        raise Failure("no kernel in /boot with modules in /lib/modules: run tools/setup")
    version = max(versions, key=lambda v: ("cloud" in v, age(v)))
    if not os.access(images[version], os.R_OK):
        raise Failure(f"{images[version]} is not readable: run as root, or chmod a+r it")
    return version, images[version]

def module_files(version):
    """The modules with all they depend on, as lines of modules.dep: {path: [paths]}."""
    root = f"/lib/modules/{version}"
    with open(f"{root}/modules.dep") as file:
        table = {path: needs.split() for path, _, needs in (line.partition(":") for line in file)}
    names = {os.path.basename(path).split(".")[0].replace("-", "_"): path for path in table}
    wanted = [names[name] for name in MODULES if name in names]  # others are built in
    return {path: table[path] for name in wanted for path in [name, *table[name]]}

def program_files(names):
    """The named host programs and every shared library they load: {place in the guest: path}."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    files = {}
    for name in names:
        path = shutil.which(name, path=search)
        if not path:
            raise Failure(f"{name} is not installed: run tools/setup")
        # One that is named by a path need not lie where the guest looks for programs.
        files[f"usr/bin/{os.path.basename(path)}" if "/" in name else path.lstrip("/")] = path
        loaded = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        files |= {lib.lstrip("/"): lib for lib in re.findall(r"(/\S+) \(0x", loaded)}
    return files

def initramfs(programs=PROGRAMS):
    """Path of the initramfs holding these programs, built unless one like it is in the cache."""
    version, _ = kernel()
    modules = module_files(version)
    root = f"lib/modules/{version}"
    busybox = shutil.which("busybox")
    if not busybox:
        raise Failure("busybox is not installed: run tools/setup")
    sources = {"init": f"{HERE}/guest-init", "bin/busybox": busybox}
    sources |= program_files(programs)
    sources |= {path.lstrip("/"): path for path in glob.glob("/lib/terminfo/v/vt220")}
    sources |= {f"{root}/{path.removesuffix('.xz')}": f"/{root}/{path}" for path in modules}
    key = hashlib.sha256(repr(sorted(sources)).encode())
    for path in sources.values():
        about = os.stat(path)
        key.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    result = f"{CACHE}/initramfs-{key.hexdigest()[:16]}.cpio"
    if os.path.exists(result):
        with contextlib.suppress(PermissionError):  # root's, who has tested networks
            os.utime(result)
        return result

    started = time.monotonic()
    os.makedirs(CACHE, exist_ok=True)
    for old in glob.glob(f"{CACHE}/initramfs-*"):
        if os.stat(old).st_mtime < time.time() - 86400:  # nobody has used it for a day
            with contextlib.suppress(PermissionError):
                os.remove(old)
    with tempfile.TemporaryDirectory(dir=CACHE) as stage:
        os.mkdir(f"{stage}/etc")
        for name, path in sources.items():
            target = os.path.join(stage, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if path.endswith(".xz"):
                with lzma.open(path) as packed, open(target, "wb") as plain:
                    shutil.copyfileobj(packed, plain)
            else:
                shutil.copy(path, target)
        os.chmod(f"{stage}/init", 0o755)
        with open(f"{stage}/{root}/modules.dep", "w") as file:
            for path, needs in modules.items():
                file.write(f"{path}: {' '.join(needs)}\n".replace(".xz", ""))
        names = "".join(f"{os.path.relpath(os.path.join(where, name), stage)}\n"
                        for where, below, files in os.walk(stage) for name in sorted(below + files))
        with open(f"{stage}.part", "wb") as out:
            subprocess.run(["cpio", "--create", "--format=newc", "--quiet", "--owner=0:0"],
                           cwd=stage, input=names.encode(), stdout=out, check=True)
        os.rename(f"{stage}.part", result)  # appears whole or not at all
    say(f"built {os.path.basename(result)}: {os.path.getsize(result) >> 20} MiB "
        f"in {time.monotonic() - started:.1f} s, kept for the next time")
    return result

def make_efi_disk(path):
    """A GPT disk with an EFI system partition that boots this kernel and a small initramfs."""
    stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    if not os.path.exists(stub):
        raise Failure("systemd-boot-efi is not installed: run tools/setup")
    size, start = 64 << 20, 1 << 20
    with tempfile.TemporaryDirectory() as temp:
        with open(f"{temp}/cmdline", "w") as file:
            file.write(KERNEL_OPTIONS)
        # A unified kernel image: firmware finds one file at the path every removable disk uses.
        # Each section gets an address of its own above the stub, with room to grow.
        sections = [("cmdline", f"{temp}/cmdline", 0x30000), ("linux", kernel()[1], 0x2000000),
                    ("initrd", initramfs(["bash"]), 0x3000000)]
        add = [f"--{flag}" for name, file, address in sections for flag in
               (f"add-section=.{name}={file}", f"change-section-vma=.{name}={address:#x}")]
        run = lambda *words: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        run("objcopy", *add, stub, f"{temp}/boot.efi")
        with open(path, "wb") as file:
            file.truncate(size)
        run("sgdisk", "--new=1:2048:0", "--typecode=1:ef00", path)
        volume = f"{path}@@{start}"
        run("mformat", "-i", volume, "-T", str((size - 2 * start) >> 9), "-h64", "-s32", "::")
        run("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", volume, f"{temp}/boot.efi", "::/EFI/BOOT/BOOTX64.EFI")
