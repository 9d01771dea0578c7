"""Hosts on this machine: network namespaces that a switch connects, with a GlusterFS server in each, and a volume that has three copies."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

HOSTS = 3
VOLUME = "arrays"
# What the clients of GlusterFS keep by themselves, for a second or for good, is not kept: README says so.
OPTIONS = {
    "performance.quick-read": "off",
    "performance.io-cache": "off",
    "performance.read-ahead": "off",
    "performance.stat-prefetch": "off",
    "performance.open-behind": "off",
    # So that the test need not wait 42 seconds until a host that is cut off counts as gone.
    "network.ping-timeout": "5",
}


def run(*command, check=True, timeout=100, text=None):
    command = [os.fspath(word) for word in command]
    done = subprocess.run(command, capture_output=True, check=False, timeout=timeout, input=text)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}: {(done.stdout + done.stderr).decode().strip()}")
    return done


def wait_for(condition, what, within=60):
    end = time.monotonic() + within
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        if late:
            raise TimeoutError(f"not within {within} s: {what}")
        time.sleep(0.1)


def mount_points():
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]


def processes_in(namespace):
    return [int(word) for word in run("ip", "netns", "pids", namespace, check=False).stdout.split()]


class Host:
    """A namespace, its server, and where the volume is mounted."""

    def __init__(self, number, namespace, switch, state):
        self.number, self.namespace, self.switch = number, namespace, switch
        self.address = f"10.77.0.{number}"
        self.state = state / f"host{number}"
        self.brick = self.state / "brick"
        self.mount = self.state / "mount"
        self.server = self.client = None

    @property
    def port(self):
        return f"port{self.number}"

    def start(self):
        for folder in ("lib", "run", "log", "brick", "mount"):
            (self.state / folder).mkdir(parents=True)
        # The first process of a namespace has to wait for those that lose their parents: a server that it does not wait for
        # counts as running.
        places = [("lib", "/var/lib/glusterd"), ("run", "/run"), ("log", "/var/log/glusterfs")]
        binds = "; ".join(f"mount --bind {self.state / name} {place}" for name, place in places)
        serve = f"set -e; {binds}; mkdir -p /run/gluster; glusterd --no-daemon --log-level WARNING & wait"
        self.server = subprocess.Popen(
            [
                "ip", "netns", "exec", self.namespace, "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                "--kill-child", "--mount-proc", "bash", "-c", serve,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: self.gluster("peer", "status", check=False).returncode == 0, f"{self.namespace} answers")

    def inner(self):
        """The process of the server, which is the first in its namespace."""
        for pid in processes_in(self.namespace):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "glusterd":
                return pid
        return None

    def gluster(self, *words, check=True):
        pid = self.inner()
        if not pid:
            if check:
                raise RuntimeError(f"no server in {self.namespace}")
            return subprocess.CompletedProcess(words, 1, b"", b"")
        return run("nsenter", "-t", str(pid), "-m", "-n", "-p", "gluster", "--mode=script", *words, check=check)

    def bricks(self):
        """Processes that keep this host's copy."""
        found = []
        for pid in processes_in(self.namespace):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"glusterfsd") and os.fsencode(self.brick) in words:
                    found.append(pid)
        return found

    def mount_volume(self):
        log = self.state / "log/client.log"
        self.client = subprocess.Popen(
            [
                "nsenter", f"--net=/run/netns/{self.namespace}", "--", "glusterfs", "--no-daemon", "--process-name", "fuse", f"--volfile-server={self.address}",
                f"--volfile-id=/{VOLUME}", "--attribute-timeout=0", "--entry-timeout=0", f"--log-file={log}", self.mount,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: os.path.ismount(self.mount), f"the volume is mounted on {self.namespace}")

    def cut_off(self):
        run("ip", "-n", self.switch, "link", "set", self.port, "down")

    def connect(self):
        run("ip", "-n", self.switch, "link", "set", self.port, "up")

    def stop(self):
        # Also of a client that has died.
        while os.fsencode(self.mount) in mount_points():
            run("umount", "--lazy", self.mount)
        for process in (self.client, self.server):
            if process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pid in processes_in(self.namespace):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not processes_in(self.namespace), f"all of {self.namespace} has ended")


class Cluster:
    def __init__(self, hosts):
        self.hosts = hosts

    def gluster(self, *words, check=True):
        return self.hosts[0].gluster(*words, check=check)

    def healed(self):
        """Whether no file is known to differ between the copies."""
        told = self.gluster("volume", "heal", VOLUME, "info", check=False).stdout.decode()
        counts = [line.rpartition(":")[2].strip() for line in told.splitlines() if line.startswith("Number of entries")]
        return counts == ["0"] * HOSTS

    def copies(self, name):
        return [(host.brick / name).read_bytes() for host in self.hosts]


@contextlib.contextmanager
def cluster():
    prefix = f"afbfs-{os.getpid()}"
    state = Path(tempfile.mkdtemp(prefix="afbfs-cluster-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    switch = f"{prefix}-switch"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, state)

        def namespace(name):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)

        namespace(switch)
        run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "bridge", "up")
        hosts = []
        for number in range(1, HOSTS + 1):
            name = f"{prefix}-{number}"
            namespace(name)
            host = Host(number, name, switch, state)
            run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", host.port, "netns", switch)
            run("ip", "-n", switch, "link", "set", host.port, "master", "bridge", "up")
            run("ip", "-n", name, "address", "add", f"{host.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", device, "up")
            stack.callback(host.stop)
            host.start()
            hosts.append(host)
        whole = Cluster(hosts)
        for host in hosts[1:]:
            whole.gluster("peer", "probe", host.address)
        wait_for(lambda: whole.gluster("peer", "status").stdout.count(b"(Connected)") == HOSTS - 1, "the hosts know each other")
        bricks = [f"{host.address}:{host.brick}" for host in hosts]
        whole.gluster("volume", "create", VOLUME, "replica", str(HOSTS), *bricks, "force")
        for option, value in OPTIONS.items():
            whole.gluster("volume", "set", VOLUME, option, value)
        whole.gluster("volume", "start", VOLUME)
        for host in hosts:
            host.mount_volume()
        yield whole
