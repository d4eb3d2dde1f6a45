#!/usr/bin/env bash
# The bucket that machines take the balancer from. Each version has a folder of its own; the object
# `latest` holds the name of the version that is to run, and is written when all of that is there.
#
# usage: . scripts/release/bucket.sh

# A folder for what is of no use later, which build_push.sh makes.
work=''

# aws_quietly ARGUMENTS...: the answer goes to $work/answer, complaints to $work/error. A host that
# does not answer is given up after seconds rather than a minute.
aws_quietly() {
    attended env AWS_PAGER='' aws --output text --cli-connect-timeout 10 "$@" \
        >"$work/answer" 2>"$work/error"
}

aws_error() {
    grep -v '^ *$' "$work/error" | head -n 3 || true
}

# require_bucket BUCKET: that there is one, and that we may ask.
require_bucket() {
    local bucket=$1
    if [[ -z $bucket ]]; then
        complain "ARTIFACT_BUCKET is not set: the bucket to upload to; or build only, with --no-push"
        return 1
    fi
    if [[ ! $bucket =~ ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$ ]]; then
        complain "ARTIFACT_BUCKET is the name of a bucket, without s3:// and folders, not: $bucket"
        return 1
    fi
    if ! command -v aws >/dev/null; then
        complain "there is no aws client, which uploads: https://aws.amazon.com/cli/, or:" \
            "pip install awscli; or build only, with --no-push"
        return 1
    fi
    # Makes no request.
    if ! aws_quietly s3api put-object --bucket "$bucket" --key key --if-none-match '*' \
        --checksum-algorithm SHA256 --generate-cli-skeleton output; then
        complain "this aws client cannot upload what is not there yet (--if-none-match), as those of" \
            "September 2024 and later do: $(aws_error)"
        return 1
    fi
    if ! aws_quietly s3api head-bucket --bucket "$bucket"; then
        case $(aws_error) in
        *'(404)'*) complain "the bucket $bucket does not exist (ARTIFACT_BUCKET)" ;;
        *'(403)'*) complain "the bucket $bucket may not be used with these credentials: s3:ListBucket" ;;
        *) complain "the bucket $bucket cannot be reached: $(aws_error)" ;;
        esac
        return 1
    fi
}

# present_objects BUCKET VERSION: fills `present`, the names of what the version's folder holds.
present_objects() {
    local bucket=$1 version=$2 key
    present=()
    if ! aws_quietly s3api list-objects-v2 --bucket "$bucket" --prefix "$version/" \
        --query 'Contents[].[Key]'; then
        complain "s3://$bucket/$version/ cannot be listed: $(aws_error)"
        return 1
    fi
    while read -r key; do
        # Of nothing, the client prints the word None.
        [[ $key == "$version/"* ]] && present+=("${key#"$version/"}")
    done <"$work/answer"
    return 0
}

# is_present NAME
is_present() {
    local name
    for name in ${present[@]+"${present[@]}"}; do
        [[ $name == "$1" ]] && return 0
    done
    return 1
}

# upload FOLDER BUCKET VERSION REPLACE NAME...: in this order; fills `uploaded`. What is there already
# with the same contents is left alone; with others it is replaced if REPLACE is `yes`, and nothing at
# all is uploaded if not, and the status is 2.
upload() {
    local folder=$1 bucket=$2 version=$3 replace=$4 name differing=() status
    shift 4
    # What a name's request asks for: nothing, for one that is there and right.
    local -A condition=()
    present_objects "$bucket" "$version" || return 1
    for name in "$@"; do
        status=0
        if ! is_present "$name"; then
            # Of two who upload the same version at a time, the slower one fails.
            condition[$name]="--if-none-match=*"
            continue
        fi
        compare "$folder/$name" "$bucket" "$version/$name" || status=$?
        case $status in
        0) uploaded+=("$name") ;;
        1) condition[$name]='' differing+=("$name") ;;
        *) return 1 ;;
        esac
    done
    if ((${#differing[@]})) && [[ $replace != yes ]]; then
        complain "s3://$bucket/$version/ is there already, with other contents: ${differing[*]}." \
            "Nothing was uploaded. Take another --version or, where nobody uses this one, --replace"
        return 2
    fi
    for name in "$@"; do
        if [[ -v condition[$name] ]]; then
            put "$folder/$name" "$bucket" "$version/$name" ${condition[$name]:+"${condition[$name]}"} ||
                return 1
            uploaded+=("$name")
        fi
    done
}

# compare FILE BUCKET KEY: 0 if the object has the file's contents, 1 if others, 2 if that cannot be
# known. It goes by the sum that was stored with the object: one without, which this script did not
# upload, counts as different.
compare() {
    if ! aws_quietly s3api head-object --bucket "$2" --key "$3" --checksum-mode ENABLED \
        --query ChecksumSHA256; then
        complain "s3://$2/$3 cannot be looked at: $(aws_error)"
        return 2
    fi
    [[ $(<"$work/answer") == "$(base64_sum "$1")" ]]
}

# put FILE BUCKET KEY [OPTION...]: one request, so that the object is there whole or not at all, and
# nothing is left of one that failed. S3 refuses it unless the sum is right.
put() {
    local file=$1 bucket=$2 key=$3
    shift 3
    printf 'Uploading s3://%s/%s\n' "$bucket" "$key"
    if ! aws_quietly s3api put-object --bucket "$bucket" --key "$key" --body "$file" \
        --checksum-algorithm SHA256 --checksum-sha256 "$(base64_sum "$file")" "$@"; then
        complain "the upload of s3://$bucket/$key failed: $(aws_error)"
        return 1
    fi
}

# move_latest BUCKET VERSION: one object, so that who reads it gets the old version or the new one.
move_latest() {
    printf '%s\n' "$2" >"$work/latest"
    put "$work/latest" "$1" latest --content-type text/plain
}

# base64_sum FILE: SHA-256 as S3 writes it.
base64_sum() {
    local hex escaped='' digit
    hex=$(sha256sum <"$1")
    for ((digit = 0; digit < 64; digit += 2)); do
        escaped+="\\x${hex:digit:2}"
    done
    printf '%b' "$escaped" | base64
}
