#!/usr/bin/env bash
# What a binary must be before it counts as built: of the right machine, a release build, whole, and
# linked so that the oldest supported system starts it.
#
# usage: . scripts/release/binary.sh

# Amazon Linux 2023, the oldest system that is supported, has this one.
newest_glibc=2.34

# own_architecture: amd64 or arm64, as this machine is; empty on any other.
own_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    esac
}

# check_binary FILE ARCHITECTURE WORK: prints what it found; says what is wrong, and returns 1.
check_binary() {
    local file=$1 architecture=$2 work=$3 name=${1##*/} needed
    # Everything that is asked later, once: readelf complains of what is cut off or is no ELF file.
    LC_ALL=C readelf --wide --file-header --section-headers --dynamic --version-info --dyn-syms \
        "$file" >"$work/elf" 2>"$work/elf.errors" || true
    if [[ -s $work/elf.errors ]]; then
        complain "$name is not a whole ELF file: $(head -n 1 "$work/elf.errors")"
        return 1
    fi
    check_machine "$name" "$architecture" "$work/elf" || return 1
    check_release "$name" "$work/elf" || return 1
    check_libraries "$name" "$work/elf" || return 1
    check_glibc "$name" "$work/elf" || return 1
    if [[ $architecture == "$(own_architecture)" ]]; then
        check_start "$file" "$work" || return 1
    fi
    needed=$(glibc_versions "$work/elf" | tail -n 1)
    printf '%s: %s bytes, needs glibc %s\n' "$name" "$(stat -c %s "$file")" "${needed:-of no version}"
}

check_machine() {
    local name=$1 architecture=$2 elf=$3 class machine wanted
    class=$(sed -n 's/^ *Class: *//p' "$elf")
    machine=$(sed -n 's/^ *Machine: *//p' "$elf")
    case $architecture in
    amd64) wanted='Advanced Micro Devices X86-64' ;;
    arm64) wanted='AArch64' ;;
    esac
    if [[ $class != ELF64 || $machine != "$wanted" ]]; then
        complain "$name is $class for $machine; $architecture is ELF64 for $wanted"
        return 1
    fi
}

# A release build has no debug information; the development profile has.
check_release() {
    local name=$1 elf=$2
    if grep -Eq ' \.z?debug_info ' "$elf"; then
        complain "$name has debug information: it is a debug build; build with --release"
        return 1
    fi
}

check_libraries() {
    local name=$1 elf=$2 library
    while read -r library; do
        case $library in
        ld-linux-*.so.* | libc.so.6 | libm.so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0) ;;
        libgcc_s.so.1) ;;
        *)
            complain "$name needs $library, which a plain system does not have"
            return 1
            ;;
        esac
    done < <(sed -n 's/.*(NEEDED) *Shared library: \[\(.*\)\]$/\1/p' "$elf")
}

# glibc_versions ELF: those that the loader will ask for, the newest last. GLIBC_ABI_DT_RELR and its
# like are no symbol's version, and come after all numbers.
glibc_versions() {
    sed -n 's/.* Name: GLIBC_\([^ ]*\) .*/\1/p' "$1" | sort -uV
}

# is_too_new VERSION: of glibc; one that is empty is not.
is_too_new() {
    [[ -n $1 && $(printf '%s\n' "$1" "$newest_glibc" | sort -V | tail -n 1) != "$newest_glibc" ]]
}

check_glibc() {
    local name=$1 elf=$2 newest symbols
    newest=$(glibc_versions "$elf" | tail -n 1)
    is_too_new "$newest" || return 0
    symbols=$(sed -n "s/.* UND \([^ ]*\)@GLIBC_${newest//./\\.} .*/\1/p" "$elf" | sort -u | paste -sd ' ')
    complain "$name needs GLIBC_$newest (${symbols:-no symbol, but a feature of the loader});" \
        "GLIBC_$newest_glibc is the newest that Amazon Linux 2023 has"
    return 1
}

check_start() {
    local file=$1 work=$2 name=${1##*/} status=0
    attended timeout 10 "$file" --version >"$work/version" 2>&1 || status=$?
    if ((status != 0)) || ! grep -Eq '^stateless-load-balancer [0-9]' "$work/version"; then
        complain "$name --version ended with status $status and said: $(head -n 1 "$work/version")"
        return 1
    fi
}
