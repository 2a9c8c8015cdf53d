#!/usr/bin/env bash
# curl, unmodified: everything in the protocol can be tried with it. Arguments are
# given to every request for the server. Prints TAP.
set -uo pipefail

curl="${FANWIRE_CURL:-curl}"
base="$FANWIRE_URL"
control="$FANWIRE_CONTROL"
options=("$@")
name="curl${*:+ $*}"
# Seconds that one thing may take.
wait=20
tests=0
why=""

ask() { "$curl" --silent --show-error --max-time "$wait" "$@"; }
request() { ask "${options[@]}" "$@"; }
fresh() { echo "$1-$RANDOM$RANDOM"; }

# Fails the running test unless both are equal.
equal() {
    [[ "$1" == "$2" ]] && return 0
    why="$3: expected '$2', got '$1'"
    return 1
}

# Fails the running test unless the text contains the part.
contains() {
    [[ "$1" == *"$2"* ]] && return 0
    why="$3: no '$2' in '${1//$'\n'/ | }'"
    return 1
}

# Takes a string member of flat JSON out of a text.
member() { sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" <<<"$1" | head -n 1; }

# Opens an event stream as file descriptor $stream.
open_stream() {
    exec {stream}< <(exec "$curl" --silent --no-buffer --max-time 120 "${options[@]}" \
        --header 'Accept: text/event-stream' "$@")
}
close_stream() { exec {stream}<&-; }

# Reads the stream up to a line that starts with $1; the whole line is $line.
read_until() {
    while IFS= read -r -t "$wait" -u "$stream" line; do
        line="${line%$'\r'}"
        [[ "$line" == "$1"* ]] && return 0
    done
    why="the stream ended or stood still for $wait s before a line '$1'"
    return 1
}

publishes_and_reads_history() {
    local channel answer history
    channel=$(fresh history)
    answer=$(request --data 'hello' "$base/c/$channel") || return 1
    contains "$answer" '{"id":"' "answer" || return 1
    history=$(request "$base/c/$channel") || return 1
    contains "$history" '"data":"hello"' "history" || return 1
    contains "$history" "\"cursor\":\"$(member "$answer" id)\"" "cursor"
}

hears_an_event_stream() {
    local channel
    channel=$(fresh stream)
    open_stream "$base/c/$channel"
    read_until 'event: $ready' || return 1
    request --data 'hello' "$base/c/$channel" >/dev/null || return 1
    request --header 'Content-Type: application/json' --data '{"home":1}' \
        "$base/c/$channel?event=score" >/dev/null || return 1
    read_until 'data: hello' || return 1
    read_until 'event: score' || return 1
    read_until 'data: ' || return 1
    close_stream
    equal "$line" 'data: {"home":1}' "json"
}

resumes_by_last_event_id_after_a_cut() {
    local channel id number
    channel=$(fresh resume)
    open_stream "$base/c/$channel"
    read_until 'event: $ready' || return 1
    request --data 'message 0' "$base/c/$channel" >/dev/null || return 1
    read_until 'id: ' || return 1
    id="${line#id: }"
    read_until 'data: message 0' || return 1
    ask --data '{"messages":[{"channel":"'"$channel"'","body":"message 1"},{"channel":"'"$channel"'","body":"message 2"}]}' \
        "$control/control/outage" >/dev/null || return 1
    while IFS= read -r -t "$wait" -u "$stream" line; do
        why="the stream went on over the cut with '$line'"
        [[ "$line" == data:* ]] && return 1
    done
    close_stream
    open_stream --header "Last-Event-ID: $id" "$base/c/$channel"
    read_until 'event: $ready' || return 1
    request --data 'message 3' "$base/c/$channel" >/dev/null || return 1
    read_until 'data: {' || return 1
    for number in 1 2 3; do
        read_until 'data: ' || return 1
        equal "$line" "data: message $number" "resumed" || return 1
    done
    close_stream
}

polls() {
    local channel history polled
    channel=$(fresh poll)
    history=$(request "$base/c/$channel") || return 1
    request --data 'there' "$base/c/$channel" >/dev/null || return 1
    polled=$(request "$base/c/$channel?wait=15&after=$(member "$history" cursor)") || return 1
    contains "$polled" '"data":"there"' "poll"
}

sends_one_message_to_several_channels() {
    local a b answer history
    a=$(fresh a) b=$(fresh b)
    answer=$(request --data 'both' "$base/c/$a,$b") || return 1
    history=$(request "$base/c/$b") || return 1
    contains "$history" "\"id\":\"$(member "$answer" id)\"" "the second channel"
}

knows_an_idempotency_key_again() {
    local channel first second third
    channel=$(fresh once)
    first=$(request --header "Idempotency-Key: $channel" --data 'x' "$base/c/$channel") || return 1
    second=$(request --header "Idempotency-Key: $channel" --data 'x' "$base/c/$channel") || return 1
    third=$(request --header "Idempotency-Key: $channel" --data 'y' "$base/c/$channel") || return 1
    contains "$second" '"duplicate":true' "second answer" || return 1
    equal "$(member "$second" id)" "$(member "$first" id)" "id" || return 1
    contains "$third" '"code":"idempotency_mismatch"' "another body"
}

# status_and_code STATUS CODE ARGUMENT…: the request is refused so.
status_and_code() {
    local status="$1" code="$2" answer
    shift 2
    answer=$(request --write-out $'\n%{http_code}' "$@") || return 1
    equal "${answer##*$'\n'}" "$status" "status of $*" || return 1
    contains "$answer" "\"code\":\"$code\"" "answer to $*"
}

is_refused_with_a_code() {
    status_and_code 400 invalid_channel "$base/c/@nobody" || return 1
    status_and_code 400 invalid_channel --path-as-is "$base/c/%2e%2e" || return 1
    status_and_code 400 invalid_event --data x "$base/c/x?event=%24ready" || return 1
    status_and_code 400 invalid_body --header 'Content-Type: application/json' --data '{' "$base/c/x" || return 1
    status_and_code 404 not_found "$base/no/such/path" || return 1
    status_and_code 405 method_not_allowed --request PUT --data x "$base/c/x" || return 1
    head -c 65537 /dev/zero | tr '\0' x |
        status_and_code 413 too_large --header 'Content-Type: text/plain' --data-binary @- "$base/c/x"
}

is_closed_to_strangers() {
    status_and_code 403 origin_denied --header 'Origin: http://evil.example' --data x "$base/c/x" || return 1
    status_and_code 403 host_denied --header 'Host: evil.example' "$base/c/x" || return 1
    status_and_code 403 proxy_unconfigured --header 'X-Forwarded-For: 192.0.2.1' "$base/c/x" || return 1
    status_and_code 401 unauthorized --header 'Authorization: Bearer wrong' "$base/c/x"
}

answers_options() {
    local answer
    answer=$(request --include --request OPTIONS "$base/c/x") || return 1
    contains "$answer" ' 204 ' "status" || return 1
    contains "${answer,,}" 'allow: get, post, options' "allowed methods"
}

is_healthy() { equal "$(request "$base/healthz")" "ok" "body"; }

for test in publishes_and_reads_history hears_an_event_stream resumes_by_last_event_id_after_a_cut \
    polls sends_one_message_to_several_channels knows_an_idempotency_key_again \
    is_refused_with_a_code is_closed_to_strangers answers_options is_healthy; do
    tests=$((tests + 1))
    why="curl ended with an error"
    if "$test"; then
        echo "ok $name: ${test//_/ }"
    else
        echo "not ok $name: ${test//_/ } # ${why//$'\n'/ }"
    fi
done
echo "1..$tests"
