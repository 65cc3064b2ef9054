"""The table of flags: a row for each flag of `engine run` and `engine create`, in the order in which help shows them.

`tests.e2e.test_flags` runs every row, and fails when a flag is offered that has none. In ``typed``, ``{place}`` stands
for a directory of the test's own, ``NAME`` for another container and ``PATH`` for a file of a namespace.
"""

from __future__ import annotations

from tests.e2e import flag_engine as engine
from tests.e2e import flag_files as files
from tests.e2e import flag_health as health
from tests.e2e import flag_isolation as isolation
from tests.e2e import flag_limits as limits
from tests.e2e import flag_names as names
from tests.e2e import flag_privileges as privileges
from tests.e2e import flag_process as process
from tests.e2e.scene import Inside, Row

MEMORY = "/sys/fs/cgroup/memory/memory"
MEMORY_NODES = "sed -n 's/^Mems_allowed_list:.//p' /proc/self/status"

STREAMS = [
    Row("--detach", "-d", "the command ends and the process runs on", process.detach),
    Row("--interactive", "-i", "standard input reaches the process", process.interactive),
    Row("--tty", "-t", "standard input is a terminal", Inside("tty || true", "/dev/pts/0")),
    Row("--tty", "-t", "programs know what terminal it is", Inside("echo $TERM", "xterm")),
    Row("--detach-keys", "--detach-keys ctrl-x,x", "typing them leaves it running", process.detach_keys),
    Row("--rm", "--rm", "nothing of it is left", process.remove),
    Row("--name", "--name e2e-named", "other commands find it by name", process.named),
]

PROCESS = [
    Row("--env", "-e 'GREETING=hello  world' -e PASSED_ON", "the environment has them", process.env),
    Row("--env-file", "--env-file {place}/env", "the environment has its lines", process.env_file),
    Row("--env-host", "--env-host", "the command's environment, and the image's before it", process.env_host),
    Row("--workdir", "-w /tmp", "the working directory", Inside("pwd", "/tmp")),
    Row("--workdir", "-w /srv/new", "a missing directory is made", Inside("pwd", "/srv/new")),
    Row("--user", "-u user", "user and group of the image by name", privileges.user_of_host_files),
    Row("--user", "-u 7:9", "user and group by number", Inside("id -u; id -g", "7\n9")),
    Row("--group-add", "--group-add user --group-add 77", "it is in them too", process.groups),
    Row("--group-add", "-u 7:9 --group-add user --group-add 77", "also as another user", process.groups_of_user),
    Row("--entrypoint", "--entrypoint echo", "runs with the command as its arguments", process.entrypoint),
    Row("--init", "--init", "orphans are reaped by process 1", process.init),
    Row("--ulimit", "--ulimit nofile=20:30", "no more files can be opened", process.ulimit),
    Row("--ulimit", "--ulimit core=0", "a limit of zero", Inside("ulimit -Hc", "0")),
    Row("--oom-score-adj", "--oom-score-adj 321", "the kernel's score", Inside("cat /proc/self/oom_score_adj", "321")),
]

END = [
    Row("--restart", "--restart on-failure:2", "it is started again, twice", process.restart),
    Row("--stop-signal", "--stop-signal USR1", "stop sends this signal", process.stop_signal),
    Row("--stop-timeout", "--stop-timeout 1", "stop kills after so long", process.stop_timeout),
    Row("--timeout", "--timeout 300ms", "it is ended after so long", process.timeout),
]

HEALTH = [
    Row("--health-cmd", "--health-cmd 'test -e /well'", "the health is what it says", health.command),
    Row("--health-interval", "--health-interval 200ms", "so long from check to check", health.interval),
    Row("--health-timeout", "--health-timeout 300ms", "what takes longer is killed", health.timeout),
    Row("--health-retries", "--health-retries 2", "so many failures make it unhealthy", health.retries),
    Row("--health-start-period", "--health-start-period 1h", "until then no failure counts", health.start_period),
    Row("--health-start-interval", "--health-start-interval 150ms", "checks come so often then", health.start_interval),
    Row("--no-healthcheck", "--no-healthcheck", "the image's check is not made", health.none),
]

FILES = [
    Row("--volume", "-v {place}/data:/data", "files pass both ways", files.volume),
    Row("--volume", "-v {place}/made:/data:ro", "nothing can be written, nor below", files.volume_read_only),
    Row("--mount", "--mount type=bind,src={place}/file,dst=/etc/one,ro", "one file, to be read", files.mount),
    Row(
        "--mount",
        "--mount type=tmpfs,dst=/data,tmpfs-size=1m,tmpfs-mode=1770",
        "a directory in memory, of a size and mode",
        files.mount_tmpfs,
    ),
    Row("--tmpfs", "--tmpfs /data:size=64k,uid=1000,gid=1000,mode=755", "the same, of an owner", files.tmpfs),
    Row("--volumes-from", "--volumes-from NAME", "what the other has mounted from the host", files.volumes_from),
    Row("--volumes-from", "--volumes-from NAME:ro", "to be read only", files.volumes_from_read_only),
    Row("--read-only", "--read-only", "no file can be made outside of its mounts", files.read_only),
    Row("--shm-size", "--shm-size 128k", "no more than that fits", files.shm_size),
    Row("--device", "--device /dev/loop0:/dev/here:r", "it opens to be read, not to be written", files.device),
]

LIMITS = [
    Row("--memory", "-m 32m", "what takes more is killed", limits.memory),
    Row("--memory-swap", "--memory 32m --memory-swap 64m", "the kernel's limit", limits.memory_swap),
    Row("--memory-reservation", "--memory-reservation 16m", "the kernel's value", limits.memory_reservation),
    Row("--memory-swappiness", "--memory-swappiness 7", "the kernel's value", Inside(f"cat {MEMORY}.swappiness", "7")),
    Row("--oom-kill-disable", "-m 32m --oom-kill-disable", "what takes more waits", limits.oom_kill_disable),
    Row("--cpus", "--cpus 0.1", "it is throttled", limits.cpus),
    Row("--cpu-quota", "--cpu-quota 5000 --cpu-period 50000", "it is throttled", limits.cpu_quota),
    Row("--cpu-period", "--cpu-quota 5000 --cpu-period 50000", "in so long periods", limits.cpu_quota),
    Row("--cpu-shares", "-c 128", "less time beside another", limits.cpu_shares),
    Row("--cpuset-cpus", "--cpuset-cpus 1", "it runs on this processor", limits.cpuset_cpus),
    Row("--cpuset-mems", "--cpuset-mems 0", "the kernel's list", Inside(MEMORY_NODES, "0", default=True)),
    Row("--pids-limit", "--pids-limit 8", "fork fails", limits.pids_limit),
    Row("--blkio-weight", "--blkio-weight 321", "the kernel's value", limits.blkio_weight),
    Row("--blkio-weight-device", "--blkio-weight-device DISK:321", "the kernel's value", limits.blkio_weight),
    Row("--device-read-bps", "--device-read-bps DISK:1mb", "reading takes its time", limits.slow("read")),
    Row("--device-write-bps", "--device-write-bps DISK:1mb", "writing takes its time", limits.slow("write")),
    Row("--device-read-iops", "--device-read-iops DISK:16", "reading takes its time", limits.slow("read")),
    Row("--device-write-iops", "--device-write-iops DISK:16", "writing takes its time", limits.slow("write")),
    Row("--device-cgroup-rule", "--device-cgroup-rule 'c 10:237 r'", "it can be read", limits.device_cgroup_rule),
]

LIMITS_OF_OUR_OWN = [
    Row("--cpu-rt-runtime", "--cpu-rt-runtime 9000", "it may be a realtime process", limits.realtime),
    Row("--cpu-rt-period", "--cpu-rt-period 500000 --cpu-rt-runtime 9000", "the same", limits.realtime),
    Row("--cgroup-conf", "--cgroup-conf cgroup.max.descendants=1", "no more groups below it", limits.cgroup_conf),
]
"""Runc gives the groups above no realtime budget, and takes no files of v2 beside v1."""

ISOLATION = [
    Row("--network", "--network none", "a loopback alone", isolation.network_none),
    Row("--network", "--net host", "the host's links", isolation.network_host),
    Row("--network", "--network container:NAME", "the other's loopback", isolation.network_container),
    Row("--pid", "--pid host", "the host's processes", isolation.hosts("pid")),
    Row("--pid", "--pid container:NAME", "the other's processes", isolation.pid_container),
    Row("--pid", "--pid private", "process 1 is its own", Inside("readlink /proc/1/exe", "/bin/busybox", default=True)),
    Row("--ipc", "--ipc host", "the host's", isolation.hosts("ipc")),
    Row("--ipc", "--ipc container:NAME", "the other's shared memory", isolation.ipc_container),
    Row("--uts", "--uts host", "the host's name", isolation.uts_host),
    Row("--uts", "--uts container:NAME", "the other's", isolation.of_container("uts")),
    Row("--cgroupns", "--cgroupns host", "the host's", isolation.hosts("cgroup")),
    Row("--cgroupns", "--cgroupns private", "its own", isolation.own("cgroup")),
    Row("--userns", "--userns private", "ids of its own, and files that are its root's", isolation.user_ids),
    Row("--userns", "--userns auto", "its own", isolation.own("user")),
    Row("--userns", "--userns host", "the host's", isolation.hosts("user")),
    Row("--userns", "--userns container:NAME", "the other's", isolation.of_container("user")),
    Row("--userns", "--userns map:0:70000:9,9:5:1", "the kernel's map", isolation.maps("0 70000 9 9 5 1")),
    Row("--uidmap", "--uidmap 0:70000:9", "the kernel's maps", isolation.maps("0 70000 9")),
    Row("--gidmap", "--uidmap 0:70000:9 --gidmap 0:80000:7", "the same", isolation.maps("0 70000 9", "0 80000 7")),
    Row("--volume", "--userns private -v {place}:/data:idmap", "the host's ids inside", isolation.mapped_volume),
    Row("--mount", "--userns auto --mount type=bind,src={place},dst=/data,idmap", "so too", isolation.mapped_volume),
    *(
        Row("--namespace", f"--namespace {kind}=new", "its own", isolation.own(kind))
        for kind in ("mount", "uts", "ipc", "pid", "net", "cgroup")
    ),
    Row("--namespace", "--namespace user=new", "no power over the host's", isolation.user_namespace),
    Row("--namespace", "--namespace time=new", "its own clocks", isolation.time_namespace),
    *(
        Row("--namespace", f"--namespace {kind}=host", "the host's", isolation.hosts(kind))
        for kind in isolation.PROC_NAMES
        if kind != "mount"
    ),
    *(
        Row("--namespace", f"--namespace {kind}=container:NAME", "the other's", isolation.of_container(kind))
        for kind in isolation.PROC_NAMES
        if kind != "mount"
    ),
    *(
        Row("--namespace", f"--namespace {kind}=PATH", "that of the file", isolation.of_path(kind))
        for kind in isolation.PROC_NAMES
        if kind != "mount"
    ),
    Row("--hostname", "-h box-1", "its host name", Inside("hostname", "box-1")),
    Row("--hostname", "-h box-1", "it finds itself by it", Inside("grep -c box-1 /etc/hosts || true", "1")),
    Row(
        "--domainname",
        "--domainname nis.example",
        "the kernel's value",
        Inside("cat /proc/sys/kernel/domainname", "nis.example"),
    ),
    Row(
        "--add-host",
        "--add-host db.example:192.0.2.7 --add-host six=[2001:db8::7]",
        "the names have these addresses",
        names.add_host,
    ),
    Row(
        "--add-host", "--add-host db.example:192.0.2.7", "so they have where the network is shared", names.shared_names
    ),
    Row("--dns", "--dns 192.0.2.53 --dns 2001:db8::53", "these servers are asked", names.dns),
    Row("--dns-search", "--dns-search example.org --dns-search example.net", "names are completed", names.dns_search),
    Row("--dns-option", "--dns-option ndots:2 --dns-opt rotate", "the resolver's options", names.dns_option),
    Row("--sysctl", "--sysctl kernel.msgmax=4321", "the kernel's value", Inside("cat /proc/sys/kernel/msgmax", "4321")),
    Row(
        "--sysctl",
        "--sysctl net.ipv4.ip_unprivileged_port_start=80",
        "the kernel's value",
        Inside("cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "80"),
    ),
]

PRIVILEGES = [
    Row("--cap-add", "--cap-add net_admin", "what needs it can be done", privileges.cap_add),
    Row("--cap-drop", "--cap-drop CHOWN", "what needs it cannot be done", privileges.cap_drop),
    Row("--cap-drop", "--cap-drop ALL", "every set is empty", privileges.cap_drop_all),
    Row("--privileged", "--privileged", "every capability, device and mount", privileges.privileged),
    Row("--security-opt", "--security-opt no-new-privileges", "set-user-ID is nothing", privileges.no_new_privileges),
    Row("--security-opt", "--security-opt seccomp=unconfined", "no filter", privileges.seccomp_unconfined),
    Row("--security-opt", "--security-opt seccomp={place}/profile.json", "its answers", privileges.seccomp_profile),
    Row("--security-opt", "--security-opt systempaths=unconfined", "/proc as it is", privileges.system_paths),
    Row("--security-opt", "--security-opt mask=/etc/passwd:/home", "they are hidden", privileges.mask),
    Row("--security-opt", "--security-opt unmask=/proc/timer_list", "it is there", privileges.unmask),
]

IMAGE = [
    Row("--pull", "--pull never", "an image that is not here is not asked for", engine.pull_never),
    Row("--pull", "--pull always", "the registry is asked, even if it is here", engine.pull_always),
    Row("--pull", "--pull missing", "the registry is asked when it is not here", engine.pull_missing),
    Row("--platform", "--platform linux/s390x", "an image for another one will not do", engine.platform),
]

ENGINE = [
    Row("--label", "-l 'team=storage = fast' --label bare", "it is found again", engine.label),
    Row("--label-file", "--label-file {place}/labels -l typed=2", "it is found again", engine.label_file),
    Row("--annotation", "--annotation org.example.team=a=b", "the OCI runtime's program knows it", engine.annotation),
    Row("--cidfile", "--cidfile {place}/cid", "the ID of the container", engine.cidfile),
    Row("--storage", "--storage overlay", "the type of the root filesystem", engine.storage),
    Row("--cgroup-driver", "--cgroup-driver cgroupfs", "where the process is", engine.cgroup_driver),
    Row("--cgroup-parent", "--cgroup-parent PARENT", "where the process is", engine.cgroup_parent),
    Row("--runtime", "--runtime native", "who its parent is", engine.runtime),
    Row("--log-driver", "--log-driver none", "nothing is kept", engine.log_driver),
    Row("--attach", "-a stderr", "its output is not shown, and kept", process.attach),
    Row("--attach", "-i -a STDOUT", "nothing of the standard input reaches it", process.attach_no_input),
    Row("--sig-proxy", "--sig-proxy=false", "what ends the command leaves it alone", process.sig_proxy),
    Row("--preserve-fds", "--preserve-fds 2", "they are open in it, and no others", process.preserve_fds),
    Row("--preserve-fds", "--preserve-fds 0", "not even those of socket activation", process.socket_activation),
    Row("--trace", "--trace", "what each step took is shown at the end", engine.trace),
    Row("--trace-file", "--trace-file {place}/trace", "a trace viewer can show it", engine.trace_file),
    Row("--log-opt", "--log-opt max-size=10k --log-opt max-file=2", "only the end is kept", engine.log_opt),
]

RUN_ALONE = {"--attach", "--sig-proxy", "--preserve-fds", "--trace", "--trace-file"}
"""Flags of `engine run` that `engine create` does not have."""

TABLE = [
    *STREAMS,
    *PROCESS,
    *END,
    *HEALTH,
    *FILES,
    *LIMITS,
    *LIMITS_OF_OUR_OWN,
    *ISOLATION,
    *PRIVILEGES,
    *IMAGE,
    *ENGINE,
]
