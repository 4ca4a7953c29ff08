"""The other end of a board in one file of Python, written from PROTOCOL.md and the vectors alone.

It opens the conversation, shows what the board says, acknowledges values and sends commands:

    python3 petiole_bridge.py /tmp/board0                 shows each value, as `temperature 20.07 °C`
    python3 petiole_bridge.py /tmp/board0 valve=true      sets an entity, shows the answer and ends
    python3 petiole_bridge.py --vectors ../vectors/frames.txt

It keeps no journal: an ACK of this program only says that the value was shown. For trying boards, and as an example.
"""

import json
import os
import select
import struct
import sys
import time
import tty

HELLO, DESCRIBE, DATA, PUBLISH, SUBSCRIBE, MESSAGE, REQUEST, REPLY = range(1, 9)
ACK, NAK, PING, PONG, LOG, TIME, FIRMWARE, SKIP = range(9, 17)
NUMBERED, REPEAT = 1, 2


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


def cobs_encode(data):
    out = bytearray()
    group = bytearray()
    is_full = False
    for byte in data:
        if is_full:
            group, is_full = bytearray(), False
        if byte:
            group.append(byte)
            if len(group) == 254:
                out += b"\xff" + group
                is_full = True
        else:
            out += bytes([len(group) + 1]) + group
            group = bytearray()
    if not is_full:
        out += bytes([len(group) + 1]) + group
    return bytes(out)


def cobs_decode(data):
    """The plain bytes; None where a code leads beyond the end."""
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        if code == 0 or at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code != 0xFF and at < len(data):
            out.append(0)
    return bytes(out)


def encode(check, kind, flags, sequence, channel, payload):
    plain = struct.pack("<BBBHB", 0x11 if check == 16 else 0x01, kind, flags, sequence, channel) + payload
    plain += struct.pack("<H", crc16(plain)) if check == 16 else struct.pack("<I", crc32c(plain))
    return cobs_encode(plain) + b"\0"


def decode(coded, frame_max=256):
    """(check, type, flags, sequence, channel, payload), or the reason why it is no frame."""
    if len(coded) > frame_max + frame_max // 254 + 1:
        return "long"
    plain = cobs_decode(coded)
    if plain is None:
        return "cobs"
    if len(plain) > frame_max:
        return "long"
    if len(plain) < 8:
        return "short"
    if plain[0] not in (0x01, 0x11):
        return "version"
    check = 16 if plain[0] == 0x11 else 32
    tail = 2 if check == 16 else 4
    if len(plain) < 6 + tail:
        return "short"
    body, found = plain[:-tail], int.from_bytes(plain[-tail:], "little")
    if found != (crc16(body) if check == 16 else crc32c(body)):
        return "check"
    _, kind, flags, sequence, channel = struct.unpack_from("<BBBHB", body)
    return check, kind, flags, sequence, channel, body[6:]


def cbor(data, at=0):
    """An item of CBOR: (value, where the next one begins)."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        number = info
    else:
        size = 1 << (info - 24)
        number = int.from_bytes(data[at : at + size], "big")
        at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        raw = bytes(data[at : at + number])
        return (raw.decode() if major == 3 else raw), at + number
    if major == 5:
        found = {}
        for _ in range(number):
            key, at = cbor(data, at)
            found[key], at = cbor(data, at)
        return found, at
    if major == 7 and info in (25, 26, 27):
        return struct.unpack({25: ">e", 26: ">f", 27: ">d"}[info], data[at - (1 << (info - 24)) : at])[0], at
    return {20: False, 21: True, 22: None}[info], at


def cbor_items(data):
    at, items = 0, []
    while at < len(data):
        item, at = cbor(data, at)
        items.append(item)
    return items


def cbor_head(major, number):
    for info, size in ((24, 1), (25, 2), (26, 4)):
        if number < 24:
            return bytes([major << 5 | number])
        if number < 1 << 8 * size:
            return bytes([major << 5 | info]) + number.to_bytes(size, "big")
    raise ValueError(number)


def cbor_of(value, kind):
    """The value of a command as the entity's type wants it."""
    if kind == 0:
        return b"\xf5" if value else b"\xf4"
    if kind == 1:
        return cbor_head(1, -1 - value) if value < 0 else cbor_head(0, value)
    if kind == 2:
        return b"\xfa" + struct.pack(">f", value)
    raw = value.encode()
    return cbor_head(3, len(raw)) + raw


class Gateway:
    """One conversation with the board on a line."""

    def __init__(self, path):
        self.line = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line)
        self.coded = bytearray()
        self.check, self.channel, self.counter, self.number = 32, 0, 0, 0
        self.expected, self.held, self.total = 0, {}, None
        self.entities, self.values, self.replies = {}, [], {}
        for check in (32, 16):
            os.write(self.line, b"\0" + encode(check, HELLO, 0, 0, 0, b"\0"))

    def send(self, kind, payload, flags=0, channel=None):
        sequence = self.number if flags & NUMBERED else self.counter
        self.counter = self.counter + (not flags & NUMBERED) & 0xFFFF
        channel = self.channel if channel is None else channel
        os.write(self.line, encode(self.check, kind, flags, sequence, channel, payload))

    def poll(self, seconds):
        """Takes what comes within this time, up to one piece."""
        if not select.select([self.line], [], [], seconds)[0]:
            return
        for byte in os.read(self.line, 4096):
            if byte:
                self.coded.append(byte)
                continue
            frame = decode(bytes(self.coded), 1024) if self.coded else "empty"
            self.coded.clear()
            if not isinstance(frame, str):
                self.take(*frame)

    def take(self, check, kind, flags, sequence, channel, payload):
        if kind == HELLO:
            self.check = check
            self.hello(payload)
        elif channel == 0 or channel != self.channel or flags & ~(NUMBERED | REPEAT):
            return
        elif flags & NUMBERED:
            self.take_numbered(sequence, kind, payload)
        elif kind == DESCRIBE:
            first, self.total = payload[0], payload[1]
            for entity in cbor_items(payload[2:]):
                self.entities[first] = entity
                first += 1
            self.send(DESCRIBE, bytes([first, 0]))
        elif kind == SUBSCRIBE:
            self.send(SUBSCRIBE, bytes([payload[0], 0]))
        elif kind == PING:
            self.send(PONG, payload)

    def hello(self, payload):
        frame_max, window = struct.unpack_from("<HB", payload, 2)
        nonce, session, oldest = struct.unpack_from("<III", payload, 6)
        self.channel = self.channel % 255 + 1
        self.expected, self.held, self.number = oldest & 0xFFFF, {}, 0
        accept = struct.pack("<BBHBBBBII", 1, 1, frame_max, window, self.channel, 1, 10, nonce, session or 1)
        self.send(HELLO, accept, channel=0)

    def take_numbered(self, sequence, kind, payload):
        ahead = (sequence - self.expected) & 0xFFFF
        if ahead < 0x8000:
            self.held[sequence] = kind, payload
            if ahead:
                self.send(NAK, struct.pack("<HB", self.expected, 1))
        while self.expected in self.held:
            self.hand_on(*self.held.pop(self.expected))
            self.expected = (self.expected + 1) & 0xFFFF
        self.send(ACK, struct.pack("<H", (self.expected - 1) & 0xFFFF))

    def hand_on(self, kind, payload):
        if kind == REPLY:
            self.replies[struct.unpack_from("<H", payload)[0]] = payload[2], payload[3:]
        elif kind == DATA:
            items = cbor_items(payload[4:])
            for number, value in zip(items[0::3], items[1::3]):
                entity = self.entities.get(number, {0: str(number)})
                is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
                scaled = round(value * entity.get(3, 1), 9) if is_number else value
                self.values.append((entity[0], scaled, entity.get(2, "")))

    @property
    def is_open(self):
        return self.total is not None and len(self.entities) == self.total

    def command(self, name, value, seconds=5):
        """Sets an entity; (code, value in force or text)."""
        number, entity = next((n, e) for n, e in self.entities.items() if e[0] == name)
        self.number += 1
        request = struct.pack("<HIB", self.number, int(seconds * 1000), 0)
        request += cbor_head(0, number) + cbor_of(value, entity.get(1, 3))
        until = time.monotonic() + seconds
        while self.number not in self.replies and time.monotonic() < until:
            # It may have got lost; a board knows one that it has had.
            self.send(REQUEST, request, NUMBERED)
            again = time.monotonic() + 1
            while self.number not in self.replies and time.monotonic() < again:
                self.poll(0.1)
        code, payload = self.replies.get(self.number, (11, b""))
        return code, (cbor(payload)[0] if code == 0 and payload else payload.decode())


def check_vectors(path):
    counts = {}
    for line in open(path, encoding="utf-8"):
        kind, *field = line.split() or ["#"]
        raw = [b"" if word == "-" else bytes.fromhex(word) if set(word) <= set("0123456789abcdef") and len(word) % 2 == 0 else word for word in field]
        if kind == "crc32c":
            assert crc32c(raw[0]) == int(field[1], 16), line
        elif kind == "crc16":
            assert crc16(raw[0]) == int(field[1], 16), line
        elif kind == "cobs":
            assert cobs_encode(raw[1]) == raw[2] and cobs_decode(raw[2]) == raw[1], line
        elif kind == "decode":
            assert cobs_decode(raw[2]) == raw[1], line
        elif kind == "frame":
            numbers = [int(word) for word in field[1:6]]
            assert encode(*numbers, raw[6]) == raw[7], line
            assert decode(raw[7][:-1]) == (*numbers, raw[6]), line
        elif kind == "bad":
            assert decode(raw[2][:-1]) == field[1], (decode(raw[2][:-1]), line)
        else:
            continue
        counts[kind] = counts.get(kind, 0) + 1
    print(json.dumps(counts))


def main():
    if sys.argv[1:2] == ["--vectors"]:
        return check_vectors(sys.argv[2])
    gateway = Gateway(sys.argv[1])
    while not gateway.is_open:
        gateway.poll(1)
    if len(sys.argv) > 2:
        name, text = sys.argv[2].split("=", 1)
        code, answer = gateway.command(name, json.loads(text))
        print(json.dumps({"code": code, "value": answer}))
        return code
    while True:
        gateway.poll(1)
        while gateway.values:
            print(*gateway.values.pop(0), flush=True)


if __name__ == "__main__":
    sys.exit(main())
