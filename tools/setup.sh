# shellcheck shell=bash
# The slow path of ./dev: Debian packages, a virtual environment, the lock, and every distribution of the workspace in
# editable form. Sourced by ./dev, which sets root, python, venv and lock, and defines say and die.
#
# A set-up that was killed is repaired by the next one: `.incomplete` lies in the environment while it is being made, and
# an environment that bears it is made again from nothing. A stamp is written last.

packages_engine=(ca-certificates libseccomp2)
packages_test=(
    btrfs-progs busybox-static crun dbus docker-registry fish iproute2 mmdebstrap mount openssl procps runc skopeo strace
    systemd tini util-linux zsh
)
packages_machines=(cpio e2fsprogs git lz4 mmdebstrap qemu-system-x86 xz-utils zstd)

# Which package brings each engine that `./dev bench` may be told to require.
declare -A packages_peer=([docker]="docker.io docker-cli" [podman]=podman [runc]=runc)

# find_python VERSION_OR_PATH: print the interpreter's path, or say why there is none.
find_python() {
    local candidate
    case $1 in
        */*) candidate=$1 ;;
        [0-9]*)
            for candidate in "/usr/bin/python$1" "$HOME/.pyenv/versions/$1"*/bin/"python$1" "/usr/local/bin/python$1"; do
                [[ ! -x $candidate ]] || break
            done
            ;;
        *) candidate=$(command -v "$1") || candidate= ;;
    esac
    [[ -x $candidate ]] || die "there is no Python '$1' on this machine; install it, or give its path with --python"
    case $("$candidate" -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null) in
        True) printf '%s\n' "$candidate" ;;
        False) die "$candidate is older than Python 3.11" ;;
        *) die "$candidate is not a Python" ;;
    esac
}

# install_peers NAME,NAME…: install the engines that are not there. Some releases of Debian split them differently.
install_peers() {
    local peer package wanted=()
    for peer in ${1//,/ }; do
        [[ -n ${packages_peer[$peer]-} ]] || die "there is no peer '$peer'; there are: ${!packages_peer[*]}"
        for package in ${packages_peer[$peer]}; do
            ! apt-cache show "$package" >/dev/null 2>&1 && [[ $package == docker-cli ]] || wanted+=("$package")
        done
    done
    install_packages "${wanted[@]}"
}

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
    done
}

install_packages() {
    local missing log
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    say "installing Debian packages: ${missing[*]}"
    ((EUID == 0)) || die "that needs root; run: apt-get install ${missing[*]}"
    log=$(mktemp)
    # The lists may be absent (a fresh machine) or name versions that are gone: then fetch them, and try once more.
    apt_install "${missing[@]}" >"$log" 2>&1 || {
        apt-get -q -o Acquire::Retries=3 update >"$log" 2>&1 || say "apt-get update complained; going on with what it has"
        apt_install "${missing[@]}" >"$log" 2>&1
    } || {
        cat "$log" >&2
        rm -f "$log"
        die "apt-get could not install ${missing[*]}"
    }
    rm -f "$log"
}

# Install without starting any service that a package brings (policy-rc.d is Debian's word for that).
apt_install() {
    local policy=/usr/sbin/policy-rc.d status=0
    [[ ! -e $policy ]] || policy=
    [[ -z $policy ]] || install -m 755 <(printf '#!/bin/sh\nexit 101\n') "$policy"
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o Acquire::Retries=3 \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" </dev/null || status=$?
    [[ -z $policy ]] || rm -f "$policy"
    return $status
}

lock_key() {
    { cat "$lock" && readlink -f "$python" && "$python" --version && printf '%s\n' "$root"; } | sha256sum
}

make_environment() {
    local key
    key=$(lock_key)
    if [[ -x $venv/bin/python && ! -e $venv/.incomplete && $key == "$(cat "$venv/.lock-key" 2>/dev/null)" ]]; then
        return 0
    fi
    say "making ${venv##*/} with $("$python" --version)"
    mkdir -p "$venv"
    : >"$venv/.incomplete"
    rm -f "$venv"/.set-up-*
    "$python" -m venv --clear "$venv"
    : >"$venv/.incomplete"
    say "installing the locked dependencies"
    pip_install --require-hashes --only-binary :all: -r "$lock"
    # Debian's Python 3.11 puts setuptools into every environment, and with it a .pth file that runs at each start.
    "$venv/bin/python" -m pip uninstall --quiet --yes setuptools 2>/dev/null || true
    printf '%s\n' "$key" >"$venv/.lock-key"
    rm -f "$venv/.incomplete"
}

pip_install() {
    local log
    log=$(mktemp)
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore "$@" \
        >"$log" 2>&1 || {
        cat "$log" >&2
        rm -f "$log"
        die "pip could not install: $*"
    }
    rm -f "$log"
}

install_workspace() {
    local file arguments=()
    for file in "$root"/core/pyproject.toml "$root"/plugins/*/pyproject.toml; do
        arguments+=(-e "${file%/pyproject.toml}")
    done
    say "installing the workspace's $((${#arguments[@]} / 2)) distributions"
    pip_install --no-deps --no-build-isolation --no-index "${arguments[@]}"
}

set_up_locked() {
    exec {descriptor}>"$venv.lock"
    flock "$descriptor"
    is_current "$1" || set_up_now "$1"
    exec {descriptor}>&-
}

set_up_now() {
    local started
    started=$(mktemp)
    [[ $python != /usr/bin/python3 ]] || install_packages python3-venv
    install_packages "${packages_engine[@]}"
    case $1 in
        test | bench) install_packages "${packages_test[@]}" ;;
        machines) install_packages "${packages_machines[@]}" ;;
    esac
    if [[ $1 == engine ]] || ! is_current engine; then
        make_environment
        install_workspace
        write_stamp engine "$started"
    fi
    [[ $1 == engine ]] || write_stamp "$1" "$started"
    rm -f "$started"
    say "${venv##*/} is ready"
}

# write_stamp WHAT FILE: note what the set-up was made from, as of the time of FILE, when it began.
write_stamp() {
    local stamp=$venv/.set-up-$1
    local files=("$lock" "$root"/tools/setup.sh "$root"/core/pyproject.toml "$root"/plugins/*/pyproject.toml)
    printf '%s\n%s\n' "$(readlink -f "$python")" "${files[*]}" >"$stamp.new"
    touch -r "$2" "$stamp.new"
    mv "$stamp.new" "$stamp"
}

# Resolve every distribution's dependencies together, for each Python and architecture at once, into requirements.lock.
# uv does it, from an environment of its own that is thrown away.
resolve_lock() {
    local folder
    folder=$(mktemp -d)
    "$venv/bin/python" -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    "$venv/bin/python" "$root/tools/dependencies.py" >"$folder/requirements.in"
    (cd "$folder" && venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate requirements.in -o requirements.lock)
    {
        printf '# Made by ./dev lock for Python 3.11 and later, from what every pyproject.toml of the workspace asks for.\n'
        cat "$folder/requirements.lock"
    } >"$lock.new"
    mv "$lock.new" "$lock"
    rm -r "$folder"
}
