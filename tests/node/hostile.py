#!/usr/bin/env python3
"""Sends to `pumua serve` what no console should: a conversation as pynetdicom writes it, changed, cut, or a byte a second.

    hostile.py PROGRAM MODEL

PROGRAM is `pumua`, MODEL a model that judges drawings. Fails if any of it ends more than its own association, is kept as a film or
keeps others waiting; or if something is refused that the standard allows.
"""

import random
import socket
import struct
import sys
import threading
import time

import pynetdicom
import serving
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom.sop_class import Verification
from serving import agreed

CONTEXTS = [(ComputedRadiographyImageStorage, [ExplicitVRLittleEndian]), (Verification, [ExplicitVRLittleEndian])]
ASK, AGREED, REJECTED, DATA, RELEASE, RELEASED, ABORT = range(1, 8)
# Bytes of a request before its items.
HEAD = 74
MOST = 128 * 1024
# What a slow line may take: see docs/clinic.md, in seconds. Two busy cores are given some more.
REQUEST, PDU, FILM, GRACE = 5, 5, 15, 15


def recorded(server, film=None):
    """The PDUs that pynetdicom sends: a request, C-ECHO or C-STORE, a release."""
    sent = []
    association = agreed(server, CONTEXTS, evt_handlers=[(pynetdicom.evt.EVT_DATA_SENT, lambda event: sent.append(event.data))])
    status = association.send_c_store(film) if film else association.send_c_echo()
    assert status.Status == 0
    association.release()
    # Some are sent in pieces, or several in one.
    bytes_sent, pdus = b"".join(sent), []
    while bytes_sent:
        length = 6 + struct.unpack(">I", bytes_sent[2:6])[0]
        pdus.append(bytes_sent[:length])
        bytes_sent = bytes_sent[length:]
    assert (pdus[0][0], pdus[-1][0]) == (ASK, RELEASE)
    return pdus


class Line:
    """A connection whose bytes are our own. Each has an address of its own: of one address four are served at once."""

    last = 0

    def __init__(self, server):
        Line.last = Line.last % 200 + 1
        self.socket = socket.create_connection(("127.0.0.1", server.port), serving.PATIENCE, (f"127.0.1.{Line.last}", 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Whether it could be sent."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def bytes(self, count):
        found = b""
        while len(found) < count:
            try:
                more = self.socket.recv(count - len(found))
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            found += more
        return found

    def receive(self):
        """The kind of the next PDU; `None` where the connection has ended."""
        head = self.bytes(6)
        if head is None or self.bytes(struct.unpack(">I", head[2:])[0]) is None:
            return None
        return head[0]

    def received(self):
        """The kinds of all PDUs until the end of the connection."""
        return list(iter(self.receive, None))


def opened(server, *pdus):
    """A connection over which these were sent, and the kind of the first answer. It comes again where there is no room for a moment."""
    end = time.monotonic() + serving.PATIENCE
    while True:
        line = Line(server)
        line.send(b"".join(pdus))
        kind = line.receive()
        if kind != REJECTED or time.monotonic() > end:
            return line, kind
        line.socket.close()
        time.sleep(0.05)


def said(server, *pdus):
    """What is answered to these PDUs, until the connection ends."""
    line, kind = opened(server, *pdus)
    with line:
        return [kind, *line.received()]


def with_length(pdu):
    return pdu[:2] + struct.pack(">I", len(pdu) - 6) + pdu[6:]


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def items(data):
    """Items and where they begin."""
    at = 0
    while at < len(data):
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        yield at, data[at], data[at + 4 : at + 4 + length]
        at += 4 + length


def what_is_not_known_is_ignored(server, echo):
    """PS3.8, 9.3.1: items of kinds that are not known are ignored, wherever they stand."""
    request, *rest = echo
    ((at, _, user),) = [it for it in items(request[HEAD:]) if it[1] == 0x50]
    before, behind = request[: HEAD + at], request[HEAD + at + 4 + len(user) :]
    tried = 0
    # Also those of the standard that say nothing that is needed here.
    for kind in [0x00, 0x10, 0x40, 0x53, 0x57, 0x59, 0x5A, 0x5F, 0x60, 0x77, 0xFF]:
        for length in [0, 1, 2, 4, 1000, 20000]:
            strange = item(kind, bytes(length))
            of_user = [user + strange, strange + user, *[user[:n] + strange + user[n:] for n, _, _ in items(user)]]
            changed = [before + item(0x50, it) + behind for it in of_user]
            if kind != 0x10:
                changed += [request + strange, request[:HEAD] + strange + request[HEAD:]]
            for it in changed:
                answers = said(server, with_length(it), *rest)
                assert answers == [AGREED, DATA, RELEASED], f"{kind:02x}, {length} bytes: {answers}"
                tried += 1
    # Names of the sender that are no ASCII, or far too long, are of no use here either.
    for name in ["Röntgen".encode("latin-1"), "Röntgen".encode(), b"\xff\xfe\0", b"x" * 500]:
        of_user = b"".join(item(kind, name if kind == 0x55 else body) for _, kind, body in items(user))
        assert of_user != user
        answers = said(server, with_length(before + item(0x50, of_user) + behind), *rest)
        assert answers == [AGREED, DATA, RELEASED], f"{name}: {answers}"
    return tried


def what_is_too_long_or_no_pdu_ends_its_association(server, echo, store, chance):
    request, command, release = echo
    nothing = [[], [ABORT]]
    head = [struct.pack(">BBI", kind, 0, length) for kind in [ASK, DATA] for length in [MOST + 1, 1 << 20, (1 << 32) - 1]]
    garbage = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500), bytes(10), b""]
    garbage += [chance.randbytes(chance.randrange(1, 3000)) for _ in range(40)]
    for data in [*head, *garbage]:
        with Line(server) as line:
            line.send(data)
            line.socket.shutdown(socket.SHUT_WR)
            assert line.received() in nothing, data[:40]
    # After an association was agreed to.
    lies = [
        struct.pack(">BBI", DATA, 0, MOST + 1) + bytes(MOST + 1),
        struct.pack(">BBI", DATA, 0, (1 << 32) - 1),
        struct.pack(">BBI", DATA, 0, 0),
        # Parts that are longer than what holds them, or have no length at all.
        struct.pack(">BBIIBB", DATA, 0, 6, 1 << 31, 1, 3),
        struct.pack(">BBIIBB", DATA, 0, 6, 1, 1, 3),
        # A context that was not agreed to, data without a command, a request within an association.
        struct.pack(">BBIIBB", DATA, 0, 16, 12, 99, 3) + bytes(10),
        struct.pack(">BBIIBB", DATA, 0, 16, 12, 1, 2) + bytes(10),
        request,
        b"\x09\0" + bytes(4),
    ]
    for lie in lies:
        line, kind = opened(server, request)
        with line:
            assert kind == AGREED
            line.send(lie)
            assert line.received() == [ABORT], lie[:20]
    # A conversation with bytes changed: whatever is answered, it ends. What still is a film may be kept, and is not counted.
    whole, changes = b"".join(store), 150
    limit = len(b"".join(store[:2])) + 600
    for _ in range(changes):
        broken = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(limit)] = chance.randrange(256)
        with Line(server) as line:
            line.send(bytes(broken))
            line.socket.shutdown(socket.SHUT_WR)
            line.received()
    assert said(server, request, command, release) == [AGREED, DATA, RELEASED]
    return len(head) + len(garbage) + len(lies) + changes


def of_what_is_cut_nothing_is_kept(server, store, chance):
    request, command, data, _ = store
    # Closed or reset anywhere in the PDU of the data; aborted or released after one that is whole, but not the last of the film.
    ends = [b"", b"", struct.pack(">BBI", ABORT, 0, 4) + bytes(4), struct.pack(">BBI", RELEASE, 0, 4) + bytes(4)]
    cuts = [0, len(data) - 1, *[chance.randrange(len(data)) for _ in range(22)]]
    for number, cut in enumerate(cuts):
        end = ends[number % len(ends)]
        body = data[12 : max(cut, 13)]
        part = struct.pack(">BBIIBB", DATA, 0, len(body) + 6, len(body) + 2, data[10], 0) + body if end else data[:cut]
        line, kind = opened(server, request, command, part, end)
        with line:
            assert kind == AGREED
            if number % len(ends) == 1:
                line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if number % len(ends) == 3:
                assert line.received() == [ABORT]
    server.says("broken off in the middle of an X-ray")
    assert server.count() == 0 and not list(server.store.glob("films/*")), server.count()
    serving.until("no part is left", lambda: not list(server.store.glob("parts/*")))
    assert said(server, *store) == [AGREED, DATA, RELEASED]
    assert server.count() == 1
    return len(cuts)


def slowly(server, name, before, bits, times):
    """Sends one after the other, each a second after the one before. Notes after how long the association has ended."""
    line, kind = opened(server, before) if before else (Line(server), AGREED)
    with line:
        assert kind == AGREED
        begin = time.monotonic()
        line.socket.settimeout(1)
        for bit in bits:
            if not line.send(bit):
                break
            # Whatever is answered, and an end without an answer, is the end.
            try:
                line.socket.recv(1 << 16)
                break
            except TimeoutError:
                pass
            except ConnectionResetError:
                break
        else:
            return
        times[name] = time.monotonic() - begin


def whoever_is_slow_holds_nobody_up(server, store, films):
    """A byte a second, while others are served. Each holds its place no longer than docs/clinic.md says."""
    request = store[0]
    # A part of a film of one byte, whole in itself.
    part = struct.pack(">BBIIBB", DATA, 0, 7, 3, 1, 0) + b"\0"
    slow = [
        ("a request", b"", request, REQUEST),
        ("a PDU", request, store[1], PDU),
        ("a film", request + store[1], [part] * 60, FILM),
    ]
    times, threads = {}, []
    for name, before, rest, _ in slow:
        bits = rest if isinstance(rest, list) else [bytes([byte]) for byte in rest]
        threads.append(threading.Thread(target=slowly, args=(server, name, before, bits, times)))
        threads[-1].start()
    longest, kept = 0, server.count()
    for film in films:
        begin = time.monotonic()
        association = agreed(server, CONTEXTS)
        assert association.send_c_echo().Status == 0 and association.send_c_store(film).Status == 0
        association.release()
        longest = max(longest, time.monotonic() - begin)
    assert server.count() == kept + len(films)
    for thread in threads:
        thread.join()
    for name, _, _, ends in slow:
        assert name in times and times[name] < ends + GRACE, (name, times)
    # Where one were served after the other, it would be more.
    assert longest < FILM, f"{longest:.1f} s for one film while others are slow"
    ended = ", ".join(f"{name} after {seconds:.0f} s" for name, seconds in sorted(times.items()))
    return f"{len(films)} films meanwhile, each in {longest:.2f} s at most; ended: {ended}"


def main():
    program, model = sys.argv[1:]
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    print(f"what is random is by the seed {seed}")
    with serving.folder() as folder:
        films = serving.films(program, folder, 12)
        # What a conversation is like, from a server of its own: the film is then new to the others.
        with serving.Serving(program, folder / "recorded", model) as server:
            echo, store = recorded(server), recorded(server, films[0])
        with serving.Serving(program, folder / "cut", model) as server:
            print(of_what_is_cut_nothing_is_kept(server, store, chance), "films that were cut, none of them kept", flush=True)
            print(whoever_is_slow_holds_nobody_up(server, store, films[1:]), flush=True)
            server.agrees(films)
        with serving.Serving(program, folder / "strange", model) as server:
            print(what_is_not_known_is_ignored(server, echo), "requests with items that are not known, all agreed to", flush=True)
            print(what_is_too_long_or_no_pdu_ends_its_association(server, echo, store, chance), "kinds of garbage", flush=True)
            assert server.process.poll() is None and "<dt>Trouble</dt><dd>none</dd>" in server.state()


if __name__ == "__main__":
    main()
