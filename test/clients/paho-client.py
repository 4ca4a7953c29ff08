"""Drives the paho client of Debian against a box: one line of JSON for each thing that it did.

Arguments: host, port, version (3.1.1 or 5.0), transport (tcp or websockets), authority file or '-'.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

host, port, version, transport, authority = sys.argv[1:6]
is5 = version == "5.0"
DEADLINE_S = 15
prefix = f"paho/{version}/{transport}/{'tls' if authority != '-' else 'plain'}"


def did(what):
    print(json.dumps({"did": what}), flush=True)


def expect(event, what):
    if not event.wait(DEADLINE_S):
        print(json.dumps({"failed": what}), flush=True)
        sys.exit(1)
    did(what)


class Peer:
    """One connected client that remembers what it got."""

    def __init__(self, name, clean=True, will=None):
        protocol = mqtt.MQTTv5 if is5 else mqtt.MQTTv311
        arguments = {} if is5 else {"clean_session": clean}
        self.client = mqtt.Client(client_id=name, protocol=protocol, transport=transport, **arguments)
        self.connected, self.closed = threading.Event(), threading.Event()
        self.subscribed, self.unsubscribed = threading.Event(), threading.Event()
        self.granted, self.messages, self.arrived = None, [], threading.Condition()
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = lambda *_: self.closed.set()
        self.client.on_message = self.on_message
        self.client.on_subscribe = self.on_subscribe
        self.client.on_unsubscribe = lambda *_: self.unsubscribed.set()
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if authority != "-":
            self.client.tls_set(ca_certs=authority)
        self.client.username_pw_set("line3", "secret")
        if will is not None:
            self.client.will_set(will, "gone", qos=1, retain=False)
        self.client.connect(host, int(port), keepalive=20)
        self.client.loop_start()
        expect(self.connected, f"connect {name}")

    def on_connect(self, _client, _userdata, _flags, code, _properties=None):
        if code == 0:
            self.connected.set()

    def on_subscribe(self, _client, _userdata, _mid, granted, _properties=None):
        self.granted = [int(getattr(code, "value", code)) for code in granted]
        self.subscribed.set()

    def on_message(self, _client, _userdata, message):
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()

    def wait(self, count, what):
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.messages) >= count, DEADLINE_S):
                print(json.dumps({"failed": what, "messages": len(self.messages)}), flush=True)
                sys.exit(1)
        did(what)
        taken, self.messages = self.messages, []
        return taken


reader = Peer(f"reader-{prefix}")
if is5:
    options = SubscribeOptions(qos=2, noLocal=True, retainAsPublished=True)
    properties = Properties(PacketTypes.SUBSCRIBE)
    properties.SubscriptionIdentifier = 300
    reader.client.subscribe(f"{prefix}/#", options=options, properties=properties)
else:
    reader.client.subscribe(f"{prefix}/#", qos=2)
expect(reader.subscribed, "subscribe")

writer = Peer(f"writer-{prefix}", will=f"{prefix}/will")
sent = []
for qos in (0, 1, 2):
    properties = None
    if is5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "text/plain"
        properties.ResponseTopic = "answers"
        properties.CorrelationData = b"abc"
        properties.UserProperty = [("unit", "C"), ("place", "3")]
    for number in range(20):
        info = writer.client.publish(f"{prefix}/q{qos}", f"{number}", qos=qos, properties=properties)
        sent.append(info)
for info in sent:
    info.wait_for_publish(DEADLINE_S)
did("publish at QoS 0, 1 and 2")
messages = reader.wait(60, "every message")
for qos in (0, 1, 2):
    own = [message for message in messages if message.topic.endswith(f"q{qos}")]
    assert [int(message.payload) for message in own] == list(range(20)), "out of order"
    assert all(message.qos == min(qos, reader.granted[0]) for message in own), "wrong QoS"
if is5:
    shown = messages[0].properties
    assert shown.UserProperty == [("unit", "C"), ("place", "3")] and shown.ContentType == "text/plain"
    assert shown.SubscriptionIdentifier == [300] and shown.CorrelationData == b"abc"
    did("properties")

writer.client.publish(f"{prefix}/kept", "kept", qos=1, retain=True).wait_for_publish(DEADLINE_S)
reader.wait(1, "retained message, live")
late = Peer(f"late-{prefix}")
late.client.subscribe(f"{prefix}/kept", qos=1)
assert late.wait(1, "retained message, later")[0].retain, "no retain flag"
late.client.unsubscribe(f"{prefix}/kept")
expect(late.unsubscribed, "unsubscribe")
writer.client.publish(f"{prefix}/kept", "", qos=1, retain=True).wait_for_publish(DEADLINE_S)
reader.wait(1, "retained message cleared")

# As a device that loses its power: the socket is gone, and no DISCONNECT.
writer.client.loop_stop()
writer.client._sock_close()
assert reader.wait(1, "will")[0].payload == b"gone"

late.client.disconnect()
expect(late.closed, "disconnect")
did("done")
