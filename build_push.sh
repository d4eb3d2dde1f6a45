#!/usr/bin/env bash
# Builds the release binaries for amd64 and arm64, checks them, and uploads them with what a machine
# needs to run them to s3://$ARTIFACT_BUCKET/$VERSION/. The object `latest`, which names the version to
# run, is moved last. docs/build.md says more.
#
# usage: build_push.sh [--no-push] [--arch amd64|arm64] [--version V] [--from DIR] [--replace]
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# shellcheck source=scripts/release/children.sh
. scripts/release/children.sh
# shellcheck source=scripts/release/binary.sh
. scripts/release/binary.sh
# shellcheck source=scripts/release/toolchain.sh
. scripts/release/toolchain.sh
# shellcheck source=scripts/release/bucket.sh
. scripts/release/bucket.sh

usage() {
    cat <<'END'
usage: build_push.sh [--no-push] [--arch amd64|arm64] [--version V] [--from DIR] [--replace]

Builds stateless-load-balancer-amd64 and -arm64, checks them and uploads them, with the systemd units
and SHA256SUMS, to s3://$ARTIFACT_BUCKET/V/; then the object `latest` names V.

  --no-push        build and check only
  --arch ARCH      build one architecture only; what is uploaded is whole, so this needs --no-push
  --version V      what to call it: letters, digits, '.', '_' and '-', 64 at most
                   (default: the version in Cargo.toml, '-g' and the commit; without the commit where
                   the tag vVERSION is on it)
  --from DIR       build nothing: check and upload the two binaries in DIR, and what this checkout
                   has of the rest; needs --version
  --replace        replace files of this version that the bucket has with other contents
  --help           print this

ARTIFACT_BUCKET is the name of the bucket. The binaries come into dist/V in the build folder,
$CARGO_TARGET_DIR or target. The aws client takes credentials and region from its own variables.
END
}

complain() {
    printf 'build_push.sh: %s\n' "$*" >&2
}

misused() {
    complain "$@"
    usage >&2
    exit 2
}

architectures=(amd64 arm64)
push=yes version='' from='' replace=no

parse() {
    while (($#)); do
        case $1 in
        --no-push) push=no ;;
        --replace) replace=yes ;;
        --arch | --version | --from)
            (($# >= 2)) || misused "$1 needs a value"
            set_option "$1" "$2"
            shift
            ;;
        --arch=* | --version=* | --from=*) set_option "${1%%=*}" "${1#*=}" ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) misused "not an argument: $1" ;;
        esac
        shift
    done
    if ((${#architectures[@]} == 1)) && [[ $push == yes ]]; then
        misused "a version in the bucket has both architectures: --arch needs --no-push"
    fi
    [[ -z $from || -n $version ]] || misused "--from needs --version: the binaries do not say theirs"
    [[ $replace == no || $push == yes ]] || misused "--replace is about the bucket: not with --no-push"
}

set_option() {
    case $1 in
    --arch)
        [[ $2 == amd64 || $2 == arm64 ]] || misused "--arch is amd64 or arm64, not: $2"
        architectures=("$2")
        ;;
    --version)
        [[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ ]] || misused "--version is 1 to 64 letters," \
            "digits, '.', '_' and '-', the first a letter or digit, not: $2"
        [[ $2 != latest ]] || misused "--version must not be latest: the object of that name says which is"
        version=$2
        ;;
    --from)
        [[ -d $2 ]] || misused "--from is a folder, not: $2"
        from=$(realpath "$2")
        ;;
    esac
}

# name_version: what the commit is called. Cargo's version comes first, since binaries say it too.
name_version() {
    local cargo described
    cargo=$(sed -n '/^\[workspace\.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
    if ! described=$(git describe --always --dirty --abbrev=12 --exclude '*' 2>&1); then
        complain "git names no commit ($described): use --version"
        return 1
    fi
    if [[ $described == *-dirty ]]; then
        if [[ $push == yes ]]; then
            complain "there are changes that are not committed, so that no name tells what is in the" \
                "binaries: commit them, or use --version"
            return 1
        fi
    elif [[ -n $(git tag --points-at HEAD --list "v$cargo") ]]; then
        version=$cargo
        return 0
    fi
    version=$cargo-g$described
}

# same_commit: that what was built is still what the version says; minutes have passed.
same_commit() {
    local before=$version
    name_version || return 1
    if [[ $version != "$before" ]]; then
        complain "the checkout has changed from $before to $version during the build: build again"
        return 1
    fi
}

# lay_out FOLDER: everything that is uploaded, checked, with its sums.
lay_out() {
    local folder=$1 architecture name
    for architecture in "${architectures[@]}"; do
        name=stateless-load-balancer-$architecture
        if [[ -z $from ]]; then
            take_binary "$architecture" "$folder/$name" || return 1
        elif [[ -f $from/$name ]]; then
            cp -- "$from/$name" "$folder/$name" || return 1
        else
            complain "$name is missing in $from"
            return 1
        fi
        chmod 755 "$folder/$name"
        check_binary "$folder/$name" "$architecture" "$work" || return 1
        [[ -n $from ]] || check_paths "$folder/$name" || return 1
    done
    for name in deploy/*.service deploy/*.socket deploy/*.conf; do
        # A pattern that fits nothing stays as it is.
        [[ ! -f $name ]] || install -m 644 "$name" "$folder/" || return 1
    done
    if [[ -n $from && -f $from/SHA256SUMS ]]; then
        compare_sums "$folder" "$from/SHA256SUMS" || return 1
    fi
    write_sums "$folder"
}

# compare_sums FOLDER SUMS: where some binaries come from another machine, SUMS names more or less.
compare_sums() {
    if ! (cd "$1" && sha256sum --quiet --ignore-missing --check "$2") >"$work/answer" 2>&1; then
        complain "this is not what $2 says ($(head -n 1 "$work/answer")): take the binaries that it" \
            "was written for, and the checkout that they were built from"
        return 1
    fi
}

write_sums() {
    (
        cd "$1" || exit 1
        names=(*)
        sha256sum "${names[@]}" >"$work/sums" && mv "$work/sums" SHA256SUMS &&
            sha256sum --quiet --check SHA256SUMS
    )
}

build() {
    local architecture zigbuild=$CARGO_TARGET_DIR/zigbuild
    install_zigbuild "$zigbuild" || return 1
    for architecture in "${architectures[@]}"; do
        if ! build_binary "$architecture" "$zigbuild" "$newest_glibc"; then
            complain "the build for $architecture failed; nothing was put into $dist, nothing uploaded"
            return 1
        fi
    done
}

# push FOLDER
push() {
    local folder=$1 names=() name status=0
    for name in "$folder"/*; do
        [[ ${name##*/} == SHA256SUMS ]] || names+=("${name##*/}")
    done
    stage=uploading
    upload "$folder" "$ARTIFACT_BUCKET" "$version" "$replace" "${names[@]}" SHA256SUMS || status=$?
    if ((status != 0)); then
        complain "latest was not moved"
        # Refused, it would be again.
        ((status == 2)) || say_how_to_go_on
        return 1
    fi
    stage="moving latest"
    if ! move_latest "$ARTIFACT_BUCKET" "$version"; then
        say_how_to_go_on
        return 1
    fi
    printf 's3://%s/latest now names %s\n' "$ARTIFACT_BUCKET" "$version"
}

say_how_to_go_on() {
    complain "of this version, s3://$ARTIFACT_BUCKET/$version/ has: ${uploaded[*]:-nothing}"
    complain "to go on: ./build_push.sh --version $version --from $(printf %q "${from:-$dist/$version}")"
}

# shellcheck disable=SC2329 # the traps call it
interrupted() {
    trap '' INT TERM HUP
    # Where it comes in the middle of a request, standard error is that request's.
    exec 2>&8
    end_children
    case $stage in
    uploading)
        complain "interrupted while $stage; latest was not moved"
        say_how_to_go_on
        ;;
    'moving latest')
        complain "interrupted while $stage: it may name $version or what it named before"
        say_how_to_go_on
        ;;
    *) complain "interrupted while $stage; nothing was uploaded" ;;
    esac
    exit "$1"
}

# prepare: a folder to work in, for one of us at a time, and what ends it.
prepare() {
    CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    export CARGO_TARGET_DIR
    # Beside what is finished, which comes there by a rename.
    dist=$CARGO_TARGET_DIR/dist
    mkdir -p "$dist" || return 1
    exec 8>&2 9>"$dist/.lock"
    if ! flock --nonblock 9; then
        complain "another build_push.sh works in $dist"
        return 1
    fi
    rm -rf "$dist"/.part.*
    work=$(mktemp -d "$dist/.part.XXXXXX") || return 1
    trap 'rm -rf "$work"' EXIT
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM
    trap 'interrupted 129' HUP
}

main() {
    local stage="looking for what it needs" folder dist uploaded=() named=yes
    parse "$@"
    if [[ -z $version ]]; then
        named=no
        name_version || return 1
    fi
    prepare || return 1
    if [[ -z $from ]]; then
        require_toolchain "$work" "${architectures[@]}" || return 1
    else
        require_readelf || return 1
    fi
    [[ $push == no ]] || require_bucket "${ARTIFACT_BUCKET:-}" || return 1
    if [[ -z $from ]]; then
        stage=building
        build || return 1
        [[ $named == yes ]] || same_commit || return 1
    fi
    stage="checking the binaries"
    folder=$work/files
    mkdir "$folder"
    lay_out "$folder" || return 1
    if [[ -z $from ]]; then
        rm -rf "${dist:?}/$version"
        mv "$folder" "$dist/$version"
        folder=$dist/$version
        printf 'Built %s\n' "$folder"
    fi
    [[ $push == no ]] || push "$folder" || return 1
}

# bash reads on where it was: the file may have changed during a build of minutes.
{
    main "$@"
    exit
}
