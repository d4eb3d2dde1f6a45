#!/usr/bin/env bash
# What turns the checkout into a binary: Rust with the standard library of each architecture, and zig
# as linker and C compiler, in a Python environment in the build folder.
#
# usage: . scripts/release/toolchain.sh

# What one process, the compiler of aws-sdk-ec2, was seen to take.
needed_memory_mib=7700

# triple ARCHITECTURE: what Rust calls it.
triple() {
    case $1 in
    amd64) echo x86_64-unknown-linux-gnu ;;
    arm64) echo aarch64-unknown-linux-gnu ;;
    esac
}

# processor ARCHITECTURE: the oldest that it has to run on. Neoverse N1 is Graviton 2. It has the
# atomic instructions of ARMv8.1 (LSE), so nothing has to find out at run time whether they are there.
processor() {
    case $1 in
    amd64) echo x86-64 ;;
    arm64) echo neoverse-n1 ;;
    esac
}

# require_toolchain WORK ARCHITECTURE...: installs the Debian packages that are missing; says what only the
# operator can install, and returns 1.
require_toolchain() {
    local work=$1 architecture missing=() name
    shift
    for name in cargo rustc; do
        if ! command -v "$name" >/dev/null; then
            complain "there is no $name: install Rust 1.95 or later, https://rustup.rs"
            return 1
        fi
    done
    for architecture in "$@"; do
        require_std "$architecture" "$work" || return 1
    done
    if [[ -z $(find_objcopy) ]]; then
        complain "this Rust comes without rust-objcopy: install Rust from https://rustup.rs, or LLVM's" \
            "llvm-objcopy"
        return 1
    fi
    warn_of_memory
    require_readelf || return 1
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    # Rust's build scripts run on this machine, whatever they build for.
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    if ((${#missing[@]})); then
        bash scripts/install-packages.sh "${missing[@]}" >&2 || return 1
    fi
}

# warn_of_memory: the compiler is killed where it gets too little, and cargo does not say why.
warn_of_memory() {
    local free
    free=$(awk '/^(MemAvailable|SwapFree):/ { sum += $2 } END { print int(sum / 1024) }' /proc/meminfo)
    if ((free < needed_memory_mib)); then
        complain "warning: $free MiB of memory are free; the AWS SDK takes $needed_memory_mib MiB"
    fi
}

require_readelf() {
    command -v readelf >/dev/null || bash scripts/install-packages.sh binutils >&2
}

# require_std ARCHITECTURE WORK: by using it, since one of another compiler is there and no use.
require_std() {
    local target
    target=$(triple "$1")
    if ! rustc --target "$target" --emit metadata -o "$2/std" - <<<'fn main() {}' 2>"$2/error"; then
        complain "Rust's standard library for $1 cannot be used: $(head -n 1 "$2/error")"
        complain "run: rustup target add $target"
        complain "where rustup has none, on Debian: scripts/arm64-test --set-up"
        return 1
    fi
}

# install_zigbuild FOLDER: cargo-zigbuild and zig in their pinned versions, once per build folder.
# What an interrupted installation leaves has no mark, and is made anew.
install_zigbuild() {
    local folder=$1 wanted=scripts/release/requirements.txt
    if cmp -s "$wanted" "$folder/requirements.txt"; then
        return 0
    fi
    printf 'Installing cargo-zigbuild and zig into %s\n' "$folder"
    attended python3 -m venv --clear "$folder" &&
        attended "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
            --requirement "$wanted" &&
        cp "$wanted" "$folder/requirements.txt"
}

# build_binary ARCHITECTURE ZIGBUILD GLIBC: leaves it in the build folder, where built_binary says.
build_binary() {
    local architecture=$1 zigbuild=$2 glibc=$3 target
    target=$(triple "$architecture")
    printf 'Building for %s: %s, glibc %s\n' "$architecture" "$(processor "$architecture")" "$glibc"
    # The folders of the crates' sources have to be there before their names are asked for.
    attended cargo fetch --quiet --locked --target "$target" &&
        attended zigbuild "$architecture" "$zigbuild" --release --locked \
            --bin stateless-load-balancer --target "$target.$glibc" -- -Cstrip=none
}

# zigbuild ARCHITECTURE ZIGBUILD ARGUMENT...: ends the shell; for a subshell.
zigbuild() {
    local architecture=$1 zigbuild=$2
    shift 2
    # No folder of this machine is named in the binary, which is nobody's business and would make each
    # machine's another. RUSTFLAGS of the caller would do that too, and have no effect beside these.
    CARGO_ENCODED_RUSTFLAGS=$(rust_flags "$architecture")
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
    export CARGO_ENCODED_RUSTFLAGS SOURCE_DATE_EPOCH
    export CARGO_ZIGBUILD_CACHE_DIR=$CARGO_TARGET_DIR/zig
    export ZIG_GLOBAL_CACHE_DIR=$CARGO_TARGET_DIR/zig/global
    export PATH="$zigbuild/bin:$PATH"
    exec cargo-zigbuild rustc "$@"
}

# take_binary ARCHITECTURE FILE: what was built, without debug information, which is that of the
# standard library and of C. Functions keep their names, for panics and perf. zig as linker would drop
# both or neither, hence -Cstrip=none above.
take_binary() {
    local source
    source=$CARGO_TARGET_DIR/$(triple "$1")/release/stateless-load-balancer
    if [[ ! -f $source ]]; then
        complain "cargo left no $source"
        return 1
    fi
    # Rust's finds LLVM's library there when rustc runs it.
    LD_LIBRARY_PATH=$(rustc --print sysroot)/lib "$(find_objcopy)" --strip-debug "$source" "$2"
}

# find_objcopy: one that knows all architectures. Rust comes with it, for other systems' sake.
find_objcopy() {
    local found
    found=$(find "$(rustc --print sysroot)/lib/rustlib" -path '*/bin/rust-objcopy' 2>/dev/null | head -n 1)
    printf '%s' "${found:-$(command -v llvm-objcopy)}"
}

# rust_flags ARCHITECTURE: separated as CARGO_ENCODED_RUSTFLAGS wants them.
rust_flags() {
    local flags=() sysroot commit folder
    sysroot=$(rustc --print sysroot)
    commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
    # Of several that fit, rustc takes the last.
    flags+=("--remap-path-prefix=$PWD=." "--remap-path-prefix=$CARGO_TARGET_DIR=target")
    flags+=("--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit")
    for folder in "$(cargo_home)"/registry/src/*/; do
        flags+=("--remap-path-prefix=${folder%/}=crates")
    done
    flags+=("-Ctarget-cpu=$(processor "$1")")
    (
        IFS=$'\x1f'
        printf '%s' "${flags[*]}"
    )
}

cargo_home() {
    printf '%s' "${CARGO_HOME:-$HOME/.cargo}"
}

# check_paths FILE: that no folder of this machine is named in what was built here.
check_paths() {
    local file=$1 folder
    for folder in "$PWD" "$CARGO_TARGET_DIR" "$(cargo_home)" "$(rustc --print sysroot)"; do
        if grep --quiet --text --fixed-strings -e "$folder/" "$file"; then
            complain "${file##*/} names a folder of this machine: $folder"
            return 1
        fi
    done
}
