import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redactText, restoreText } from '../../src/config/edited-copy.ts';
import { explainConfig } from '../../src/config/explain.ts';
import { lineDifference } from '../../src/config/line-difference.ts';

const FILE = `# The hub
upstream:
  urls: [ "nats://hub.example.com:7422" ]   # of the plant
  user: box
  password: "s3cret: with a colon"
  #password: old-s3cret
users:
  - name: a
    password_hash: $scrypt$ln=14,r=8,p=1$AAAA$aaaa
  - name: b
    password_hash: '$scrypt$ln=14,r=8,p=1$BBBB$bbbb'
`;

test('secrets are taken out, also of comments, and everything else stays as it is', () => {
  const shown = redactText(FILE);
  for (const secret of ['s3cret', 'AAAA', 'bbbb', 'old-']) assert.ok(!shown.includes(secret), secret);
  assert.ok(shown.includes('urls: [ "nats://hub.example.com:7422" ]   # of the plant'));
  assert.equal(shown.split('\n').length, FILE.split('\n').length);
  assert.deepEqual(restoreText(shown, FILE), { text: FILE, missing: [] });
});

test('an edited copy keeps the secrets that it leaves alone, wherever they stand now', () => {
  const shown = redactText(FILE);
  const sorted = shown
    .replace(/ {2}- name: a\n.*\n/, '')
    .replace(/$/, '  - name: a\n    password_hash: "[redacted]"\n  - name: c\n    password_hash: "[redacted]"\n')
    .replace('user: box', 'user: other');
  const { text, missing } = restoreText(sorted, FILE);
  assert.deepEqual(missing, ['users[c].password_hash']);
  assert.match(
    text,
    /name: b\n {4}password_hash: '\$scrypt\$ln=14,r=8,p=1\$BBBB\$bbbb'\n {2}- name: a\n {4}password_hash: \$scrypt.*AAAA/,
  );
  assert.match(text, /user: other\n {2}password: "s3cret: with a colon"\n {2}#password: old-s3cret/);
});

test('every value with where it comes from', () => {
  const env = { PETIOLE_LOG_LEVEL: 'debug' };
  const text = `${FILE}status:\n  tls: off\nlanes:\n  - name: one\n    subjects: [a.>]\n`;
  const values = explainConfig({ file: null, env, cwd: '/', text });
  const of = (path: string) => {
    const { value, origin, where } = values.find((one) => one.path === path) ?? assert.fail(path);
    return [value, origin, where];
  };
  assert.deepEqual(of('log.level'), ['debug', 'environment', 'PETIOLE_LOG_LEVEL']);
  assert.deepEqual(of('upstream.user'), ['box', 'file', 'line 4']);
  assert.deepEqual(of('upstream.password'), ['[redacted]', 'file', 'line 5']);
  assert.deepEqual(of('users[1].password_hash'), ['[redacted]', 'file', 'line 11']);
  assert.deepEqual(of('status.tls.mode'), ['off', 'file', 'line 13']);
  assert.deepEqual(of('lanes[0].priority'), ['5', 'default', '']);
  assert.deepEqual(of('mqtt.packet_max'), ['256KiB', 'default', '']);
});

test('a difference reads as one of diff', () => {
  const before = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
  const after = before.with(9, 'another').toSpliced(15, 1);
  assert.equal(lineDifference(before.join('\n'), before.join('\n')), '');
  assert.equal(
    lineDifference(before.join('\n'), after.join('\n')),
    '@@ line 7 @@\n line 7\n line 8\n line 9\n-line 10\n+another\n line 11\n line 12\n line 13\n line 14\n line 15\n-line 16\n line 17\n line 18\n line 19',
  );
});
