"""A board in Python, written as a newcomer would from PROTOCOL.md and vectors/frames.txt, without the other codes.

    bridge-board.py --vectors FILE     holds the codec to the golden vectors
    bridge-board.py LINK [16]          is a board on a pty, LINK leads to it; 16: with a CRC-16

It measures `count` (one more every 50 ms) and holds `lamp` (writable), answers requests on .ask with their payload in capital
letters, and says what it does: open, receipt NUMBER, lamp VALUE, asked PAYLOAD.
"""
import json
import os
import select
import struct
import sys
import termios
import time
import tty

HELLO, DESCRIBE, DATA, SUBSCRIBE, REQUEST, REPLY, ACK, NAK, PING, PONG, SKIP = 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 16
NUMBERED, REPEAT = 1, 2
MISSING, BUSY, MALFORMED, UNKNOWN_TYPE, UNKNOWN_FLAGS, UNKNOWN_ENTITY, BAD_VALUE = 1, 2, 5, 3, 4, 8, 9
FRAME_MAX, WINDOW = 256, 8


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def check(data, bits):
    return struct.pack("<I", crc32c(data)) if bits == 32 else struct.pack("<H", crc16(data))


def cobs(plain):
    out, group = b"", b""
    for at, byte in enumerate(plain):
        if byte:
            group += bytes([byte])
            if len(group) == 254 and at + 1 < len(plain):
                out, group = out + b"\xff" + group, b""
        else:
            out, group = out + bytes([len(group) + 1]) + group, b""
    return out + bytes([len(group) + 1]) + group


def uncobs(line):
    """The plain bytes, or None where a code leads beyond the end."""
    out, at = b"", 0
    while at < len(line):
        code = line[at]
        if at + code > len(line):
            return None
        out += line[at + 1 : at + code]
        at += code
        if code != 255 and at < len(line):
            out += b"\0"
    return out


def encode(bits, kind, flags, sequence, channel, payload):
    plain = struct.pack("<BBBHB", 0x01 if bits == 32 else 0x11, kind, flags, sequence, channel) + payload
    return cobs(plain + check(plain, bits)) + b"\0"


def decode(line):
    """(bits, type, flags, sequence, channel, payload), or the reason why it is discarded."""
    if len(line) > FRAME_MAX + FRAME_MAX // 254 + 1:
        return "long"
    plain = uncobs(line)
    if plain is None:
        return "cobs"
    if len(plain) > FRAME_MAX:
        return "long"
    if len(plain) < 8:
        return "short"
    if plain[0] not in (0x01, 0x11):
        return "version"
    bits = 16 if plain[0] & 0x10 else 32
    size = bits // 8
    if len(plain) < 6 + size:
        return "short"
    if check(plain[:-size], bits) != plain[-size:]:
        return "check"
    _, kind, flags, sequence, channel = struct.unpack_from("<BBBHB", plain)
    return bits, kind, flags, sequence, channel, plain[6:-size]


def head(major, argument):
    for info, limit, form in ((24, 1 << 8, ">B"), (25, 1 << 16, ">H"), (26, 1 << 32, ">I")):
        if argument < 24:
            return bytes([major << 5 | argument])
        if argument < limit:
            return bytes([major << 5 | info]) + struct.pack(form, argument)
    raise ValueError(argument)


def cbor(value):
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfa" + struct.pack(">f", value)
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(key) + cbor(item) for key, item in value.items())
    text = value.encode()
    return head(3, len(text)) + text


def uncbor(data):
    """The item that stands first, and what follows it."""
    major, info = data[0] >> 5, data[0] & 31
    if data[0] in (0xF4, 0xF5):
        return data[0] == 0xF5, data[1:]
    size = 0 if info < 24 else 1 << info - 24
    argument = info if info < 24 else int.from_bytes(data[1 : 1 + size], "big")
    rest = data[1 + size :]
    if data[0] == 0xFA:
        return struct.unpack(">f", data[1:5])[0], rest
    if major in (2, 3):
        return rest[:argument], rest[argument:]
    return (argument if major == 0 else -1 - argument), rest


def text(value):
    return bytes([len(value)]) + value.encode()


ENTITIES = [{0: "count", 1: 1, 7: 50}, {0: "lamp", 1: 0, 6: True}]


class Board:
    def __init__(self, terminal, bits):
        self.terminal, self.bits = terminal, bits
        self.state, self.channel, self.counter, self.nonce = "closed", 0, 0, int(time.time()) & 0xFFFFFFFF
        self.session, self.oldest, self.next = 0, 1, 1
        self.frames = {}  # number: [type, payload, reference time or None, when it was sent or None]
        self.window, self.taken, self.refusal, self.keep_alive = 1, 0, 0, 10
        self.started = self.sent = self.heard = time.monotonic()
        self.timer, self.wait, self.held, self.retry = 0, 1, 0, 1
        self.lamp = False

    def send(self, kind, payload=b"", flags=0, sequence=None):
        if sequence is None:
            sequence, self.counter = self.counter, (self.counter + 1) & 0xFFFF
        self.sent = time.monotonic()
        os.write(self.terminal, (b"\0" if kind == HELLO else b"") + encode(self.bits, kind, flags, sequence, self.channel, payload))

    def keep(self, kind, payload, reference=None):
        self.frames[self.next] = [kind, payload, reference, None]
        self.next += 1

    def hello(self):
        self.state, self.channel = "closed", 0
        self.nonce = (self.nonce * 1103515245 + 12345) & 0xFFFFFFFF
        uptime = int((time.monotonic() - self.started) * 1000)
        description = crc32c(b"".join(map(cbor, ENTITIES)))
        numbers = (self.nonce, self.session, self.oldest, 1, uptime, 0, description)
        words = struct.pack("<BBHBB", 0x11, 1, FRAME_MAX, WINDOW, 0x20) + struct.pack("<7I", *numbers)
        self.send(HELLO, words + text("newcomer-1") + text("") + text("python") + text("1.0.0") + b"\0")
        self.timer, self.wait = time.monotonic() + self.wait, min(self.wait * 2, 16)

    def describe(self, first):
        self.send(DESCRIBE, bytes([first, len(ENTITIES)]) + b"".join(map(cbor, ENTITIES[first:])))
        self.timer = time.monotonic() + 0.5

    def subscribe(self):
        self.state, self.timer = "subscribing", time.monotonic() + 0.5
        self.send(SUBSCRIBE, b"\0\1" + text(".ask"))

    def tick(self):
        now = time.monotonic()
        if self.state == "closed":
            if now >= self.timer:
                self.hello()
            return
        if now - self.heard > 3 * self.keep_alive:
            self.hello()
        elif self.state == "describing" and now >= self.timer:
            self.describe(0)
        elif self.state == "subscribing" and now >= self.timer:
            self.subscribe()
        elif self.state == "open":
            self.flow(now)
            if now - self.sent > self.keep_alive:
                self.send(PING, struct.pack("<3I", int((now - self.started) * 1000), 0, 0))

    def flow(self, now):
        if now < self.held:
            return
        for number in sorted(self.frames)[: self.window]:
            kind, payload, reference, sent = frame = self.frames[number]
            is_oldest = number == self.oldest
            if sent is not None and not (is_oldest and now - sent > self.retry):
                continue
            if sent is not None:
                self.retry = min(self.retry * 2, 8)
            if reference is not None:
                payload = struct.pack("<I", int((now - reference) * 1000)) + payload
            self.send(kind, payload, NUMBERED | (REPEAT if sent else 0), number & 0xFFFF)
            frame[3] = now

    def hear(self, line):
        frame = decode(line)
        if isinstance(frame, str):
            return
        bits, kind, flags, sequence, channel, payload = frame
        if bits != self.bits:
            return
        if kind == HELLO and channel == 0:
            self.heard_hello(payload)
        elif self.state != "closed" and channel == self.channel:
            self.heard = time.monotonic()
            if flags & NUMBERED:
                self.numbered(kind, flags, sequence, payload)
            elif flags == 0:
                self.unnumbered(kind, payload)

    def heard_hello(self, payload):
        if payload[0] == 0:
            self.timer, self.wait, self.state = max(self.sent + 0.2, 0), 1, "closed"
        elif self.state == "closed" and payload[0] == 1 and struct.unpack_from("<I", payload, 8)[0] == self.nonce:
            _, _, _, self.window, self.channel, wants, self.keep_alive, _, self.session = struct.unpack_from("<BBHBBBBII", payload)
            self.taken, self.heard, self.retry, self.held, self.wait = 0, time.monotonic(), 1, 0, 1
            for frame in self.frames.values():
                frame[3] = None
            self.state = "describing"
            if wants & 1:
                self.describe(0)
            else:
                self.subscribe()

    def unnumbered(self, kind, payload):
        if kind == DESCRIBE and self.state == "describing":
            if payload[0] < len(ENTITIES):
                self.describe(payload[0])
            else:
                self.subscribe()
        elif kind == SUBSCRIBE and self.state == "subscribing":
            self.state = "open"
            print("open", flush=True)
        elif kind == ACK:
            through = struct.unpack_from("<H", payload)[0]
            while self.oldest in self.frames and ((through - self.oldest) & 0xFFFF) < 0x8000:
                del self.frames[self.oldest]
                print("receipt", self.oldest, flush=True)
                self.oldest, self.retry = self.oldest + 1, 1
        elif kind == NAK:
            sequence, code = struct.unpack_from("<HB", payload)
            number = self.oldest + ((sequence - self.oldest) & 0xFFFF)
            if number not in self.frames:
                return
            self.frames[number][3] = None
            if code == BUSY:
                self.held = time.monotonic() + struct.unpack_from("<H", payload, 3)[0] / 1000
            elif code != MISSING:
                self.frames[number] = [SKIP, bytes([code]), None, None]
        elif kind == PING:
            self.send(PONG, payload)

    def numbered(self, kind, flags, sequence, payload):
        ahead = (sequence - self.taken) & 0xFFFF
        if ahead > 1:
            return
        if ahead == 1:
            self.taken = sequence
            known = kind == REQUEST
            self.refusal = UNKNOWN_FLAGS if flags & ~(NUMBERED | REPEAT) else 0 if known else UNKNOWN_TYPE
            if self.refusal == 0:
                self.request(payload)
        # What comes again has the same answer.
        if self.refusal:
            self.send(NAK, struct.pack("<HBH", sequence, self.refusal, 0))
        else:
            self.send(ACK, struct.pack("<H", sequence))

    def request(self, payload):
        identifier, subject_length = struct.unpack_from("<H4xB", payload)
        rest = payload[7 + subject_length :]
        code, answer = 0, rest.upper()
        if subject_length == 0:
            entity, rest = uncbor(rest)
            value, _ = uncbor(rest)
            code = UNKNOWN_ENTITY if entity != 1 else 0 if isinstance(value, bool) else BAD_VALUE
            if code == 0:
                self.lamp, answer = value, cbor(value)
                print("lamp", json.dumps(value), flush=True)
        else:
            print("asked", rest.decode(), flush=True)
        self.keep(REPLY, struct.pack("<HB", identifier, code) + (answer if code == 0 else b""))


def run(link, bits):
    terminal, slave = os.openpty()
    tty.setraw(slave, termios.TCSANOW)
    os.symlink(os.ttyname(slave), link)
    print("pty", os.ttyname(slave), flush=True)
    board, line, count, due = Board(terminal, bits), b"", 0, time.monotonic()
    while True:
        readable, _, _ = select.select([terminal], [], [], 0.01)
        for byte in os.read(terminal, 4096) if readable else b"":
            if byte:
                line = (line + bytes([byte]))[: FRAME_MAX * 2]
            else:
                if line:
                    board.hear(line)
                line = b""
        now = time.monotonic()
        # Room for replies is kept.
        if now >= due and len(board.frames) < 64:
            count, due = count + 1, now + 0.05
            board.keep(DATA, cbor(0) + cbor(count) + cbor(0), now)
        board.tick()


def hexadecimal(word):
    return b"" if word == "-" else bytes.fromhex(word)


def vectors(file):
    counts = {}
    for row in open(file, encoding="utf-8"):
        kind, *field = row.split() or ["#"]
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "crc32c":
            assert crc32c(hexadecimal(field[0])) == int(field[1], 16), row
        elif kind == "crc16":
            assert crc16(hexadecimal(field[0])) == int(field[1], 16), row
        elif kind in ("cobs", "decode"):
            plain, encoded = map(hexadecimal, field[1:3])
            assert uncobs(encoded) == plain and (kind == "decode" or cobs(plain) == encoded), row
        elif kind == "frame":
            bits, of, flags, sequence, channel = map(int, field[1:6])
            payload, line = map(hexadecimal, field[6:8])
            assert encode(bits, of, flags, sequence, channel, payload) == line, row
            if len(line) <= 260:
                assert decode(line[:-1]) == (bits, of, flags, sequence, channel, payload), row
        elif kind == "bad":
            assert decode(hexadecimal(field[2])[:-1]) == field[1], row
        elif kind == "resync":
            found = [decode(one) for one in hexadecimal(field[1]).split(b"\0") if one]
            found = [one[5] for one in found if not isinstance(one, str)]
            assert found == [hexadecimal(one) for one in field[2:]], row
    print(json.dumps(counts))


if __name__ == "__main__":
    if sys.argv[1] == "--vectors":
        vectors(sys.argv[2])
    else:
        run(sys.argv[1], 16 if sys.argv[2:] == ["16"] else 32)
