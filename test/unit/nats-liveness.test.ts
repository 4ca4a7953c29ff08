import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Liveness } from '../../src/nats/liveness.ts';

const INTERVAL_MS = 1_000;

function start() {
  const peer = {
    pings: 0,
    bytes: 0,
    deaths: 0,
    sendPing: () => void peer.pings++,
    receivedBytes: () => peer.bytes,
    dead: () => void peer.deaths++,
  };
  const liveness = new Liveness(peer, INTERVAL_MS);
  liveness.ping();
  liveness.start();
  return { peer, liveness };
}

describe('Liveness', () => {
  it('sends one PING per interval while they are answered', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { peer, liveness } = start();
    liveness.pong();
    for (let i = 0; i < 200; i++) {
      const before = peer.pings;
      t.mock.timers.tick(INTERVAL_MS / 2);
      if (peer.pings > before) liveness.pong();
    }
    assert.equal(peer.pings, 101);
    assert.equal(peer.deaths, 0);
    assert.ok((liveness.rttMs ?? -1) >= 0);
    liveness.stop();
  });

  it('gives a silent peer two PINGs and two intervals', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { peer, liveness } = start();
    liveness.pong();
    t.mock.timers.tick(2 * INTERVAL_MS - 1);
    assert.equal(peer.deaths, 0);
    assert.equal(peer.pings, 3);
    t.mock.timers.tick(1);
    assert.equal(peer.deaths, 1);
    t.mock.timers.tick(10 * INTERVAL_MS);
    assert.equal(peer.deaths, 1);
  });

  it('waits longer for one that still sends, and not for ever', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { peer, liveness } = start();
    liveness.pong();
    for (let i = 0; i < 6; i++) {
      peer.bytes += 100;
      t.mock.timers.tick(INTERVAL_MS / 2);
    }
    assert.equal(peer.deaths, 0);
    for (let i = 0; i < 6; i++) {
      peer.bytes += 100;
      t.mock.timers.tick(INTERVAL_MS / 2);
    }
    assert.equal(peer.deaths, 1);
  });
});
