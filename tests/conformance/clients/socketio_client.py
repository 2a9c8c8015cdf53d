"""PyPI `python-socketio`, unmodified. Prints TAP."""

import json
import os
import queue
import sys
import urllib.request

import engineio
import socketio

BASE = os.environ["FANWIRE_URL"]
CONTROL = os.environ["FANWIRE_CONTROL"]
# Longest wait for one thing to happen, in seconds.
WAIT = 20
# What an offset begins with: the last argument of events where sockets are recovered.
OFFSET = "fw~"
WAYS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}


# This client takes 16 packets in a polling answer, unless told otherwise, and aborts at more. No
# server of JavaScript's bounds them.
engineio.payload.Payload.max_decode_packets = 1000


def equal(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def fresh(stem):
    return f"{stem}-{os.urandom(4).hex()}"


def post(url, body, kind="text/plain"):
    request = urllib.request.Request(url, data=body, headers={"content-type": kind})
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return json.loads(answer.read())


def control(verb, **asked):
    return post(f"{CONTROL}/control/{verb}", json.dumps(asked).encode())


class Talker:
    """A client in some namespaces, and what it hears in the first."""

    def __init__(self, way, namespaces=("/",), auth=None, **options):
        self.namespace = namespaces[0]
        self.client = socketio.Client(
            reconnection_delay=0.05, reconnection_delay_max=0.1, **options
        )
        self.heard = queue.Queue()
        self.states = queue.Queue()
        for namespace in namespaces:
            self.client.on("*", self._hears(namespace), namespace=namespace)
        self.client.on("connect", lambda: self.states.put("connect"), namespace=self.namespace)
        self.client.on("disconnect", self.states.put, namespace=self.namespace)
        self.client.connect(
            BASE, transports=WAYS[way], namespaces=list(namespaces), auth=auth, wait_timeout=WAIT
        )

    def _hears(self, namespace):
        def hear(event, *args):
            if args and isinstance(args[-1], str) and args[-1].startswith(OFFSET):
                args = args[:-1]
            self.heard.put((namespace, event, *args))

        return hear

    def __enter__(self):
        equal(self.states.get(timeout=WAIT), "connect", "first")
        return self

    def __exit__(self, *_):
        self.client.disconnect()

    def ask(self, event, *args, namespace=None):
        return self.client.call(event, args, namespace=namespace or self.namespace, timeout=WAIT)

    def say(self, event, *args, namespace=None):
        self.client.emit(event, args, namespace=namespace or self.namespace)

    def next(self):
        return self.heard.get(timeout=WAIT)


def one_who_is_refused_hears_why(way):
    refused = queue.Queue()
    client = socketio.Client(reconnection=False)
    client.on("connect_error", refused.put)
    try:
        client.connect(BASE, transports=WAYS[way], auth={"refuse": "not today"}, wait_timeout=WAIT)
    except socketio.exceptions.ConnectionError:
        expected = {"message": "not today", "data": {"code": "told-so"}}
        equal(refused.get(timeout=WAIT), expected, "connect_error")
    else:
        raise AssertionError("it was let in")
    finally:
        client.disconnect()


def it_is_who_it_says(way):
    with Talker(way, auth={"name": "ada", "room": "r"}) as talker:
        me = talker.ask("whoami")
        equal((me["name"], me["rooms"]), ("ada", ["r"]), "whoami")
        equal(talker.client.get_sid(talker.namespace), me["id"], "id")
        equal(talker.client.transport(), WAYS[way][-1], "transport")


def arguments_and_bytes_come_back(way):
    args = [None, True, -0.5, "grüße\x1e\0", [], {"a": [{"b": b"\x00\xff"}]}, b"x" * 100_000]
    with Talker(way) as talker:
        equal(talker.ask("echo", *args), tuple(args), "acknowledgement")
        talker.say("back", *args)
        equal(talker.next(), ("/", "back", *args), "event")


def the_server_asks_and_gets_its_answer(way):
    with Talker(way) as talker:
        talker.client.on("question", lambda what: ("answer", what, b"\x01"))
        equal(talker.ask("ask", "what"), ("answer", "what", b"\x01"), "answer")


def namespaces_share_a_connection(way):
    with Talker(way, ("/plain", "/room-1")) as talker:
        for namespace in ("/plain", "/room-1"):
            equal(talker.ask("echo", namespace, namespace=namespace), namespace, "echo")
            talker.say("back", 1, namespace=namespace)
            equal(talker.next(), (namespace, "back", 1), "event")


def rooms_are_channels(way):
    room = fresh("room")
    with Talker(way, auth={"room": room}) as one, Talker(way) as two:
        two.ask("join", room)
        one.ask("say", room, "hello")
        equal(two.next(), ("/", "said", "hello"), "event")
        post(f"{BASE}/c/{room}?event=score", b'{"home": 1}', "application/json")
        for talker in (one, two):
            equal(talker.next(), ("/", "score", {"home": 1}), "posted")


def bursts_come_back_whole(way):
    with Talker(way) as talker:
        for burst in range(3):
            numbers = range(burst * 300, (burst + 1) * 300)
            for number in numbers:
                talker.say("back", number)
            # Each event is handled in a thread of its own: their order is lost here.
            came = sorted(talker.next()[2] for _ in numbers)
            equal(came, list(numbers), "echoes")


def ends_have_their_reasons(way):
    with Talker(way) as talker:
        talker.say("kick")
        equal(talker.next(), ("/", "bye"), "said before")
        equal(talker.states.get(timeout=WAIT), "server disconnect", "reason")


def it_notices_silence_and_comes_back(way):
    with Talker(way) as talker:
        control("silence")
        equal(talker.states.get(timeout=WAIT), "transport error", "reason")
        control("admit", messages=[])
        equal(talker.states.get(timeout=WAIT), "connect", "again")
        equal(talker.ask("echo", 1), 1, "echo")


TESTS = [
    one_who_is_refused_hears_why,
    it_is_who_it_says,
    arguments_and_bytes_come_back,
    the_server_asks_and_gets_its_answer,
    namespaces_share_a_connection,
    rooms_are_channels,
    bursts_come_back_whole,
    ends_have_their_reasons,
    it_notices_silence_and_comes_back,
]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    tests = [test for test in TESTS if only in test.__name__]
    for way in WAYS:
        for test in tests:
            name = f"python-socketio by {way}: " + test.__name__.replace("_", " ")
            try:
                test(way)
                print(f"ok {name}", flush=True)
            except Exception as error:  # whatever went wrong is this test's result
                detail = f"{type(error).__name__}: {error}".replace("\n", " ")
                print(f"not ok {name} # {detail}", flush=True)
    print(f"1..{len(tests) * len(WAYS)}", flush=True)


main()
sys.stdout.flush()
# A connection that a failed test left open must not keep the process.
os._exit(0)
