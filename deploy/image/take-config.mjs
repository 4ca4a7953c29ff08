// Takes a configuration from the boot partition: node take-config.mjs BOOT ETC NOTICES PETIOLE
//
// On the card it is petiole.yaml, with the files that it names (passwords, certificates, a credentials file) in the folder
// petiole/ beside it. It is checked as a whole before anything moves. Right: it moves to where the box reads it, and is gone
// from the card. Wrong: the box goes on as before, the file stays as petiole.yaml.wrong with the reasons beside it for who
// takes the card out, and the status page has them, too.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const NAME = 'petiole.yaml';
/** As many as a status page should show of one file. */
const SHOWN_MAX = 3;
/** A card is not to fill the memory: certificates and credentials are smaller. */
const FILE_BYTES_MAX = 256 * 1024;
const FILES_MAX = 64;

const [boot, etc, notices, petiole] = process.argv.slice(2);
const file = join(boot, NAME);
const beside = join(boot, 'petiole');
const notice = join(notices, 'boot-partition.json');

/** What the card has beside the configuration, as plain files of one folder. */
function filesBeside() {
  if (!existsSync(beside)) return [];
  return readdirSync(beside, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[\w][\w.-]*$/.test(entry.name) && entry.name !== NAME)
    .map(({ name }) => name)
    .slice(0, FILES_MAX);
}

function check(folder) {
  const { status, stdout, stderr } = spawnSync(petiole, ['check', '--json', join(folder, NAME)], { encoding: 'utf8' });
  if (status === 0) return [];
  try {
    const { problems } = JSON.parse(stdout);
    return problems.map(({ line, path, message, hint }) => ({
      text: `${NAME}${line ? `:${line}` : ''}: ${path ? `${path}: ` : ''}${message}`,
      hint,
    }));
  } catch {
    return [{ text: stderr.trim() || `petiole check ended with ${status}`, hint: '' }];
  }
}

/** Whole or not at all, and as the box may read it. */
function place(from, to) {
  const { uid, gid } = statSync(etc);
  writeFileSync(`${to}.new`, readFileSync(from), { mode: 0o640, flush: true });
  chmodSync(`${to}.new`, 0o640);
  chownSync(`${to}.new`, uid, gid);
  renameSync(`${to}.new`, to);
}

function take() {
  const names = filesBeside();
  const big = [file, ...names.map((name) => join(beside, name))].find((path) => statSync(path).size > FILE_BYTES_MAX);
  if (big)
    return [
      {
        text: `${big.slice(boot.length + 1)} is larger than 256 KiB`,
        hint: 'Put only what the configuration names there',
      },
    ];
  // As it would be: what the box has already, and what comes over it.
  const trial = mkdtempSync(`${etc}.trial-`);
  try {
    cpSync(etc, trial, { recursive: true });
    for (const name of names) cpSync(join(beside, name), join(trial, name));
    cpSync(file, join(trial, NAME));
    const problems = check(trial);
    if (problems.length > 0) return problems;
    // The files first: a configuration that names them comes when they are there.
    for (const name of names) place(join(beside, name), join(etc, name));
    place(file, join(etc, NAME));
    rmSync(file);
    rmSync(beside, { recursive: true, force: true });
    rmSync(`${file}.wrong`, { force: true });
    rmSync(`${file}.problems.txt`, { force: true });
    return [];
  } finally {
    rmSync(trial, { recursive: true, force: true });
  }
}

if (existsSync(file)) {
  const problems = take();
  if (problems.length === 0) {
    rmSync(notice, { force: true });
    console.log(`${NAME} of the boot partition is in force`);
  } else {
    const lines = problems.map(({ text, hint }) => `${text}\r\n    cure: ${hint}\r\n`);
    writeFileSync(`${file}.problems.txt`, lines.join(''), { flush: true });
    renameSync(file, `${file}.wrong`);
    const more = problems.length > SHOWN_MAX ? ` (and ${problems.length - SHOWN_MAX} more)` : '';
    const shown = problems.slice(0, SHOWN_MAX).map(({ text }) => text);
    const told = {
      part: 'boot partition',
      code: 'config_not_taken',
      message: `The configuration on the boot partition has mistakes, and the one before is in force: ${shown.join('; ')}${more}`,
      hint: `${problems[0].hint || 'Mend it'}; then put it on the boot partition again as ${NAME}`,
    };
    writeFileSync(`${notice}.new`, JSON.stringify(told), { mode: 0o644, flush: true });
    renameSync(`${notice}.new`, notice);
    console.error(told.message);
  }
}
