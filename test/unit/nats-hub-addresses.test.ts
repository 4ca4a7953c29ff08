import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HubAddresses, parseHubUrl } from '../../src/nats/hub-addresses.ts';
import { readInfo } from '../../src/nats/hub-info.ts';

const address = (url: string) => parseHubUrl(url).address;

describe('parseHubUrl', () => {
  it('takes what people write', () => {
    const named = { host: 'hub.example', port: 7422, tls: true, tlsName: 'hub.example', path: null };
    assert.deepEqual(address('tls://hub.example'), { ...named, url: 'tls://hub.example:7422' });
    const web = { ...named, port: 443, path: '' };
    assert.deepEqual(address('wss://hub.example'), { ...web, url: 'wss://hub.example:443' });
    const behind = { ...web, port: 80, tls: false, path: '/nats' };
    assert.deepEqual(address('ws://hub.example/nats/'), { ...behind, url: 'ws://hub.example:80/nats' });
    assert.deepEqual(address('nats-leaf://10.0.0.1:80').port, 80);
    assert.deepEqual(address('hub.example:7500').port, 7500);
    const { host, url } = address('nats://[fd00::1]:7422');
    assert.deepEqual({ host, url }, { host: 'fd00::1', url: 'nats://[fd00::1]:7422' });
  });

  it('keeps credentials apart', () => {
    const { address: known, user, password } = parseHubUrl('tls://a%40b:p%3Aq@hub.example');
    assert.deepEqual({ user, password }, { user: 'a@b', password: 'p:q' });
    assert.equal(known.url, 'tls://hub.example:7422');
  });

  it('refuses the rest', () => {
    for (const url of ['http://hub', 'https://hub', '', 'nats://', 'nats://a:b:c', 'nats://x:y%@hub', 'tls://hub:0']) {
      assert.throws(() => parseHubUrl(url), { code: 'config_invalid' }, url);
    }
  });
});

describe('HubAddresses', () => {
  const via = address('tls://hub.example:7422');

  it('tries every address once a round', () => {
    const addresses = new HubAddresses([via, address('tls://other.example')]);
    addresses.announce(['10.0.0.1:7422', '10.0.0.2:7422'], via);
    for (let round = 0; round < 3; round++) {
      const tried = Array.from({ length: addresses.size }, () => addresses.next().host);
      assert.equal(addresses.left, 0);
      assert.deepEqual(tried.toSorted(), ['10.0.0.1', '10.0.0.2', 'hub.example', 'other.example']);
    }
  });

  it('holds announced addresses to the TLS of the hub that announced them', () => {
    const addresses = new HubAddresses([via]);
    addresses.announce(
      ['10.0.0.1:7422', 'c.example:7500', 'hub.example:7422', '[fd00::1]:1', 'nats://x:y@z:99999'],
      via,
    );
    const all = Array.from({ length: addresses.size }, () => addresses.next());
    assert.ok(all.every(({ tls }) => tls));
    assert.deepEqual(all.map(({ url, tlsName }) => `${url} ${tlsName}`).toSorted(), [
      'tls://10.0.0.1:7422 hub.example',
      'tls://[fd00::1]:1 hub.example',
      'tls://c.example:7500 c.example',
      'tls://hub.example:7422 hub.example',
    ]);
  });

  it('holds them to the WebSocket and the path as well', () => {
    const web = address('wss://hub.example/nats');
    const addresses = new HubAddresses([web]);
    addresses.announce(['10.0.0.1:8443'], web);
    const all = Array.from({ length: addresses.size }, () => addresses.next().url);
    assert.deepEqual(all.toSorted(), ['wss://10.0.0.1:8443/nats', 'wss://hub.example:443/nats']);
  });

  it('tries one that is about to go last', () => {
    const others = ['a', 'b', 'c'].map((name) => address(`tls://${name}.example`));
    const addresses = new HubAddresses([via, ...others]);
    addresses.next();
    addresses.postpone(via);
    assert.equal(addresses.left, 4);
    const hosts = Array.from({ length: 4 }, () => addresses.next().host);
    assert.equal(hosts.at(-1), 'hub.example');
  });

  it('replaces what was announced before', () => {
    const addresses = new HubAddresses([via]);
    addresses.announce(['10.0.0.1:7422', '10.0.0.2:7422'], via);
    addresses.announce(['10.0.0.3:7422'], via);
    assert.equal(addresses.size, 2);
  });
});

describe('readInfo', () => {
  it('takes the fields it knows and defends itself against odd ones', () => {
    const info = readInfo(
      '{"server_name":"hub","headers":1,"max_payload":"x","leafnode_urls":["a:1",7],"client_id":3,' +
        '"export":{"allow":["a","b q"],"deny":["c","d q"]},"import":{},"__proto__":{"x":1}}',
    );
    assert.equal(info.serverName, 'hub');
    assert.equal(info.headers, false);
    assert.equal(info.maxPayload, 1_048_576);
    assert.deepEqual(info.leafUrls, ['a:1']);
    assert.deepEqual(info.export, { allow: ['a', 'b'], deny: ['c'] });
    assert.equal(info.import, null);
    assert.equal(info.isLeafPort, true);
    for (const bad of ['', '7', 'null', '[]', '{"a":']) {
      assert.throws(() => readInfo(bad), { code: 'protocol_violation' });
    }
  });
});
