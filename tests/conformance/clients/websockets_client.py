"""PyPI `websockets`, unmodified: raw, envelope, resume after cuts. Prints TAP."""

import json
import os
import secrets
import sys
import urllib.request
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

BASE = os.environ["FANWIRE_URL"]
CONTROL = os.environ["FANWIRE_CONTROL"]
PROTOCOL = "fanwire.envelope"
# Seconds that one thing may take.
WAIT = 20


def fresh(stem):
    """A channel that no other test uses."""
    return f"{stem}-{secrets.token_hex(4)}"


def post(url, body, content_type="text/plain"):
    """A bounded POST; gives the answer's JSON."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=WAIT) as response:
        return json.load(response)


def publish(channel, body, content_type="text/plain"):
    return post(f"{BASE}/c/{channel}", body, content_type)


def outage(messages):
    """Cuts all connections with RST and publishes past the proxy while nobody can come back."""
    return post(f"{CONTROL}/control/outage", json.dumps({"messages": messages}).encode())


def open_socket(channels, query="", **options):
    url = f"{BASE}/c/{channels}".replace("http", "ws", 1) + (f"?{query}" if query else "")
    return connect(url, open_timeout=WAIT, close_timeout=WAIT, **options)


@contextmanager
def open_envelope(channels, query=""):
    """An envelope socket, and the data of its `$ready`."""
    with open_socket(channels, query, subprotocols=[PROTOCOL]) as socket:
        first = json.loads(socket.recv(timeout=WAIT))
        equal(first["event"], "$ready", "the first frame")
        yield socket, first["data"]


def equal(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def raw_text_and_binary_go_both_ways():
    channel = fresh("raw")
    with open_socket(channel) as socket:
        socket.send("grüße")
        socket.send(b"\x00\xff")
        own = [socket.recv(timeout=WAIT) for _ in range(2)]
        publish(channel, b'{"a": 1}', "application/json")
        publish(channel, b"\x01\x02", "application/octet-stream")
        others = [socket.recv(timeout=WAIT) for _ in range(2)]
    equal(own, ["grüße", b"\x00\xff"], "own frames")
    equal(others, ['{"a": 1}', b"\x01\x02"], "what others published")


def fragments_are_one_message():
    with open_socket(fresh("fragments")) as socket:
        socket.send(iter(["one ", "two ", "three"]))
        equal(socket.recv(timeout=WAIT), "one two three", "data")


def a_ping_is_answered():
    with open_socket(fresh("ping")) as socket:
        if not socket.ping().wait(WAIT):
            raise AssertionError(f"no pong within {WAIT} s")


def a_close_is_answered():
    with open_socket(fresh("bye")) as socket:
        socket.close(1000, "bye")
        equal(socket.close_code, 1000, "close code")


def no_compression_is_agreed_on():
    with open_socket(fresh("plain"), compression="deflate") as socket:
        equal(socket.response.headers.get("Sec-WebSocket-Extensions"), None, "extensions")


def envelope_publish_is_acknowledged():
    channel = fresh("ack")
    with open_envelope(channel) as (socket, ready):
        equal(socket.subprotocol, PROTOCOL, "subprotocol")
        equal(ready["channels"], [channel], "channels")
        socket.send(json.dumps({"data": {"a": None}, "event": "score", "ref": 1}))
        frames = [json.loads(socket.recv(timeout=WAIT)) for _ in range(2)]
    ack = next(frame for frame in frames if frame["event"] == "$ack")
    own = next(frame for frame in frames if frame["event"] != "$ack")
    equal(ack["data"], {"ref": 1, "id": own["id"]}, "$ack")
    equal((own["event"], own["data"]), ("score", {"a": None}), "own message")


def envelope_resumes_exactly_after_cuts():
    channels = [fresh(stem) for stem in "abc"]
    sent, got = [], []

    def some(count):
        batch = [
            {"channel": channels[number % 3], "body": f"message {number}"}
            for number in range(len(sent), len(sent) + count)
        ]
        sent.extend(batch)
        return batch

    def hear(frame):
        message = json.loads(frame)
        if message["event"] != "$cursor":
            equal(message["event"], "message", "an event in between")
            got.append(message)

    cursor = None
    for _ in range(3):
        with open_envelope(",".join(channels), f"after={cursor}" if cursor else "") as (socket, ready):
            equal(ready["cursor"], cursor or ready["cursor"], "where the stream starts")
            cursor = ready["cursor"]
            for message in some(5):
                publish(message["channel"], message["body"].encode())
            outage(some(20))
            try:
                while True:
                    hear(socket.recv(timeout=WAIT))
            except ConnectionClosed:
                pass
        if got:
            cursor = got[-1]["id"]
    with open_envelope(",".join(channels), f"after={cursor}") as (socket, _):
        while len(got) < len(sent):
            hear(socket.recv(timeout=WAIT))
    heard = [{"channel": one["channel"], "body": one["data"]} for one in got]
    equal(heard, sent, "all messages, once, in order")


def one_byte_over_the_limit_closes_with_1009():
    with open_socket(fresh("large")) as socket:
        socket.send("x" * (64 * 1024 + 1))
        try:
            socket.recv(timeout=WAIT)
        except ConnectionClosed as closed:
            equal(closed.rcvd and closed.rcvd.code, 1009, "close code")
            return
    raise AssertionError("it was published")


def a_foreign_origin_is_refused():
    try:
        with open_socket("x", origin="http://evil.example"):
            pass
    except InvalidStatus as refused:
        equal(refused.response.status_code, 403, "status")
        equal(json.loads(refused.response.body)["code"], "origin_denied", "code")
        return
    raise AssertionError("it was let in")


def main():
    tests = [
        raw_text_and_binary_go_both_ways,
        fragments_are_one_message,
        a_ping_is_answered,
        a_close_is_answered,
        no_compression_is_agreed_on,
        envelope_publish_is_acknowledged,
        envelope_resumes_exactly_after_cuts,
        one_byte_over_the_limit_closes_with_1009,
        a_foreign_origin_is_refused,
    ]
    for test in tests:
        name = f"websockets{os.environ['FANWIRE_OVER']}: " + test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {name}", flush=True)
        except Exception as error:  # whatever went wrong is this test's result
            detail = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"not ok {name} # {detail}", flush=True)
    print(f"1..{len(tests)}", flush=True)


main()
sys.stdout.flush()
# A connection that a failed test left open must not keep the process.
os._exit(0)
