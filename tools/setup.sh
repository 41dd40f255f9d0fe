# shellcheck shell=bash
# What `./dev` stands on: packages of the system and .venv. Sourced by ./dev, which gives root, die,
# say and quietly. Everything here looks first and acts only on what is missing.

# --- packages

section_packages() { # section_packages SECTION
    awk -v want="[$1]" '/^\[/ { on = ($1 == want); next } on && NF && $1 !~ /^#/ { print $1 }' \
        "${root:?}/tools/apt-packages.txt"
}

missing_packages() { # missing_packages SECTION…
    local section package
    for section in "$@"; do
        for package in $(section_packages "$section"); do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                echo "$package"
        done
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

install_packages() { # install_packages SECTION…
    [ "${JIMBOT_NO_APT:-0}" = 1 ] && return 0
    command -v apt-get >/dev/null || die "this is no Debian-like system: install what" \
        "tools/apt-packages.txt lists by hand and set JIMBOT_NO_APT=1"
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] && return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die \
        "not root and no sudo. As root run: apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    local env=(env DEBIAN_FRONTEND=noninteractive)
    quietly apt-update as_root "${env[@]}" apt-get update -q ||
        die "apt-get update failed: is the network up? (log: build-logs/apt-update.log)"
    # A service that comes with a package (nginx) is not started. It is for the benchmark alone.
    # shellcheck disable=SC2016 # that script is for sh
    quietly apt-install as_root "${env[@]}" sh -c '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy
        fi
        apt-get install -q -y --no-install-recommends "$@"' sh "${missing[@]}" ||
        die "apt-get install failed (log: build-logs/apt-install.log)"
    rm -f "$root"/build*/dev-options # what meson did not find before may be there now
}

# Packages of such a section are wanted for a program in them; what else they bring stays out of the
# system. Without them what needs them is skipped, so a failure is not an end.
unpack_packages() { # unpack_packages SECTION
    [ "${JIMBOT_NO_APT:-0}" = 1 ] && return 0
    local package tools=$root/.tools
    for package in $(section_packages "$1"); do
        [ ! -e "$tools/$package.done" ] || continue
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ] ||
            continue
        say "unpacking $package into .tools"
        mkdir -p "$tools/download"
        if (cd "$tools/download" && quietly "unpack-$package" apt-get download -q "$package") &&
            dpkg -x "$tools/download/$package"_*.deb "$tools"; then
            touch "$tools/$package.done"
        else
            say "could not fetch $package; going on without it"
        fi
        rm -rf "$tools/download"
    done
}

# --- python

is_usable_python() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            is_usable_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python >= 3.11 with the venv module; set PYTHON to one"
}

# .venv knows its own path, so its stamp does too: a repository that was moved gets a new one.
make_venv() {
    local requirements=$root/bindings/python/requirements-dev.txt
    local stamp=$root/.venv/jimbot-stamp want
    want="$root $(cksum <"$requirements")"
    if [ -x "$root/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
        return 0
    fi
    local python
    python=$(find_python)
    say "making .venv with $python"
    rm -rf "$root/.venv"
    quietly venv "$python" -m venv "$root/.venv" || die "could not make .venv"
    quietly pip "$root/.venv/bin/python" -m pip install -q --disable-pip-version-check \
        -r "$requirements" ||
        die "pip could not install bindings/python/requirements-dev.txt: is the network up?"
    printf '%s\n' "$want" >"$stamp"
}

setup() { # setup SECTION…
    install_packages "$@"
    make_venv
}
