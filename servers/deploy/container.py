"""Runs an image's root folder as an engine would: process 1 of its own namespaces, unprivileged, on a read-only root.

What takes an engine is left out: limits of memory and processes, restarts, images as layers, networks between hosts.
All containers share one network namespace here, cut off from the machine's, so that the ports are free and the names
of others lead to 127.0.0.1.
"""

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager

START_SECONDS, STOP_SECONDS = 10, 10

# $1 the root folder, $2 user and group; then the command. The bounding set keeps what `chroot` itself needs.
CONTAIN = """
root=$1; user=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do mount --bind -o ro "$1" "$root$2"; shift 2; done; shift
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid \\
    chroot --userspec="$user" --groups= "$root" "$@"
"""


@contextmanager
def network():
    """A network namespace with nothing but a loopback, as a path."""
    idle = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(idle, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        if keeper.stdout.readline() != b"up\n":
            raise OSError("no network namespace can be had here")
        yield f"/proc/{keeper.pid}/ns/net"
        keeper.stdin.close()


class Container:
    """One image, at most one process tree."""

    def __init__(self, root, stage, network, arguments=None, environment=None, volumes=()):
        self.root, self.stage, self.network = root, stage, network
        self.command = stage.one("ENTRYPOINT").command() + (arguments or stage.one("CMD").command())
        self.environment = {"PATH": os.environ["PATH"]} | (environment or {})
        self.volumes = volumes  # Pairs of a folder here and where it is seen.
        self.unshare = None
        self.pid = None  # Process 1, as seen from here.

    def prepare(self, names):
        """What an engine adds to every image: somewhere for /proc, and the names of the others."""
        (self.root / "proc").mkdir()
        (self.root / "etc").mkdir(exist_ok=True)
        (self.root / "etc/hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ["localhost", *names]))

    def start(self):
        """Returns the line in which the server says that it is there."""
        contain = ["nsenter", f"--net={self.network}", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        volumes = [word for pair in self.volumes for word in pair]
        contain += ["sh", "-euc", CONTAIN, "sh", self.root, self.stage.user(), *volumes, "--", *self.command]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.unshare = subprocess.Popen(contain, env=self.environment, **pipes)
        ready = select.select([self.unshare.stdout], [], [], START_SECONDS)[0]
        line = self.unshare.stdout.readline().decode().strip() if ready else f"nothing for {START_SECONDS} s"
        with open(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children") as children:
            self.pid = int(children.read() or 0)
        if not self.pid or "http://" not in line:
            self.kill()
            raise OSError(f"does not start, and says: {line}")
        return line

    def healthy(self):
        """Whether HEALTHCHECK succeeds, once, within its time."""
        return self.run(self.stage.one("HEALTHCHECK").command(), self.health_seconds()) is not None

    def health_seconds(self):
        return int(self.stage.one("HEALTHCHECK").flag("timeout").removesuffix("s"))

    def run(self, command, seconds):
        """What a command in the image writes, or None when it fails or takes too long."""
        enter = ["nsenter", f"--net={self.network}", "chroot", f"--userspec={self.stage.user()}", "--groups=", self.root]
        try:
            return subprocess.run([*enter, *command], timeout=seconds, check=True, capture_output=True).stdout
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            return None

    def status(self):
        """The kernel's view of process 1: field → value."""
        with open(f"/proc/{self.pid}/status") as status:
            return {field: value.strip() for field, _, value in (line.partition(":") for line in status)}

    @contextmanager
    def frozen(self):
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self):
        """Sends STOPSIGNAL; the exit code, and the seconds that it took. What does not stop is killed."""
        asked = time.monotonic()
        os.kill(self.pid, getattr(signal, self.stage.one("STOPSIGNAL").rest))
        try:
            code = self.unshare.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        return code, time.monotonic() - asked

    def kill(self):
        if self.unshare and self.unshare.poll() is None:
            self.unshare.kill()
            self.unshare.wait()
