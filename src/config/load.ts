import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from './checks.ts';
import { isMap, override, readEnvironment, variableOf } from './environment.ts';
import { readFiles, readText } from './files.ts';
import { type Path, type Problem, pathText, type Report } from './problems.ts';
import { type Config, type FileValues, toConfig } from './schema.ts';
import { validate } from './validate.ts';
import { readYaml, YAML_BYTES_MAX } from './yaml-text.ts';

/** Looked for in this order where no file is named. */
const LOCAL_FILE = 'petiole.yaml';
const SYSTEM_FILE = '/etc/petiole/petiole.yaml';
/** Register lists that come with the box. */
const DEVICES = new URL('../../deploy/modbus/', import.meta.url);
/** More than anybody mends in one go. */
const PROBLEMS_MAX = 100;

export interface LoadOptions {
  /** Null: ./petiole.yaml, else /etc/petiole/petiole.yaml, else the defaults. */
  readonly file: string | null;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Instead of what stands in the file, as a copy of it that is on trial. */
  readonly text?: string;
}

/** `file` is the absolute path of the file that was taken, null where there was none. */
export type Loaded =
  | { readonly config: Config; readonly file: string | null; readonly problems: readonly [] }
  | { readonly config: null; readonly file: string | null; readonly problems: readonly Problem[] };

/**
 * The file, overridden by the PETIOLE_ variables, with every problem at once. Never throws. Relative paths in the file
 * (and in variables) start at the file's folder; without a file, at `cwd`.
 */
export function loadConfig({ file, env, cwd, text }: LoadOptions): Loaded {
  const source = openSource(file, cwd, text);
  const yaml = readYaml(source.text ?? '');
  const { overrides, problems: variableProblems } = readEnvironment(env);
  const problems: Problem[] = [...variableProblems];
  const flawed = new Set<string>();

  if (source.failure !== null) {
    problems.push({ path: '', line: null, column: null, variable: null, message: source.failure, hint: source.hint });
  }
  for (const { path, place, message, hint } of yaml.flaws) {
    flawed.add(pathText(path));
    problems.push({ path: pathText(path), ...place, variable: null, message, hint });
  }

  const report: Report = (path, message, hint) => {
    const here = overrides.find((entry) => startsWith(path, entry.path));
    const place = here === undefined ? nearestPlace(path) : null;
    // A key that is missing in a map which only variables have made.
    const madeByVariables = here === undefined && place === null && path.length > 1;
    const beside = madeByVariables ? overrides.find((entry) => startsWith(entry.path, path.slice(0, -1))) : undefined;
    problems.push({
      path: pathText(path),
      line: place?.line ?? null,
      column: place?.column ?? null,
      variable: (here ?? beside)?.variable ?? null,
      message,
      hint: beside === undefined ? hint : `${hint}, or set ${variableOf(path)}`,
    });
  };
  const nearestPlace = (path: Path) => {
    for (let length = path.length; length > 0; length--) {
      const place = yaml.place(path.slice(0, length));
      if (place !== null) return place;
    }
    return null;
  };

  const folder = source.file === null ? cwd : dirname(source.file);
  const absolute = (path: string): string => resolve(folder, withCredentials(path, env));
  if (source.failure === null && yaml.value !== undefined) {
    // Before, so that a variable finds a map; and after, because a variable may be short too.
    const tree = expandShorthand(override(expandShorthand(yaml.value ?? {}), overrides));
    includeDevices(tree, absolute, report);
    const { draft, refused } = validate(tree, (path, ...rest) => {
      if (!flawed.has(pathText(path))) report(path, ...rest);
    });
    check(draft, refused, report);
    const secrets = readFiles(draft, absolute, report);
    if (problems.length === 0) {
      // Nothing was reported, so nothing was taken out of the draft: it is whole.
      return { config: toConfig(draft as FileValues, { absolute, ...secrets }), file: source.file, problems: [] };
    }
  }
  return { config: null, file: source.file, problems: inOrder(problems).slice(0, PROBLEMS_MAX) };
}

const CREDENTIALS_DIRECTORY = '$CREDENTIALS_DIRECTORY/';

/** systemd puts the credentials of a unit (LoadCredential=) into a folder whose name only this variable tells. */
function withCredentials(path: string, env: NodeJS.ProcessEnv): string {
  const folder = env.CREDENTIALS_DIRECTORY;
  // Without the variable the path stays, and the problem that the file does not exist names it.
  if (folder === undefined || !path.startsWith(CREDENTIALS_DIRECTORY)) return path;
  return join(folder, path.slice(CREDENTIALS_DIRECTORY.length));
}

interface Source {
  readonly file: string | null;
  readonly text: string | null;
  readonly failure: string | null;
  readonly hint: string;
}

/** What the file and the variables say, before anything is checked: for those who explain it. */
export function readTree({ file, env, cwd, text }: LoadOptions) {
  const source = openSource(file, cwd, text);
  const yaml = readYaml(source.text ?? '');
  const { overrides } = readEnvironment(env);
  const tree = expandShorthand(override(expandShorthand(yaml.value ?? {}), overrides));
  return { file: source.file, text: source.text ?? '', tree, overrides, place: (path: Path) => yaml.place(path) };
}

function openSource(file: string | null, cwd: string, text?: string): Source {
  if (text !== undefined) {
    if (Buffer.byteLength(text) <= YAML_BYTES_MAX) {
      return { file: file === null ? null : resolve(cwd, file), text, failure: null, hint: '' };
    }
    const failure = `the configuration is longer than ${YAML_BYTES_MAX / 1024} KiB`;
    return { file, text: null, failure, hint: 'shorten it' };
  }
  const candidates = file === null ? [resolve(cwd, LOCAL_FILE), SYSTEM_FILE] : [resolve(cwd, file)];
  for (const candidate of candidates) {
    const read = readText(candidate, YAML_BYTES_MAX);
    if (read.failure === null) return { file: candidate, text: read.text, failure: null, hint: '' };
    if (read.missing && file === null) continue;
    const failure = `the configuration file ${read.failure}`;
    return { file: candidate, text: null, failure, hint: 'name a readable YAML file, or none for the safe defaults' };
  }
  return { file: null, text: null, failure: null, hint: '' };
}

/**
 * `journal: { flush: always }` is short for `flush: { saver: false }`;
 * `status: off` is short for `status: { listen: off }`, and so is `nats: off`; its `tls: off` for `tls: { mode: off }`; `websocket: true` of a listener for
 * `websocket: {}`, and `allow_responses: true` of a user. Of a serial port `port: /dev/ttyUSB0` (or `tcp://host:port`) is
 * short for its path, `frame: nmea` and `decode: json` for their types, and `bridge: true` for `bridge: {}`.
 */
function expandShorthand(tree: unknown): unknown {
  if (!isMap(tree)) return tree;
  const edges = [tree.mqtt, tree.nats].filter(isMap);
  for (const listener of edges.flatMap(({ listeners }) => listeners)) expandFlag(listener, 'websocket');
  if (Array.isArray(tree.users)) for (const user of tree.users) expandFlag(user, 'allow_responses');
  if (Array.isArray(tree.serial)) for (const port of tree.serial) expandPort(port);
  if (isMap(tree.status) && tree.status.tls === 'off') tree.status.tls = { mode: 'off' };
  if (isMap(tree.journal) && tree.journal.flush === 'always') tree.journal.flush = {};
  const short = ['status', 'nats'].filter((key) => tree[key] === 'off');
  return { ...tree, ...Object.fromEntries(short.map((key) => [key, { listen: 'off' }])) };
}

const BRIDGE_BAUD = 115_200;

function expandPort(entry: unknown): void {
  if (!isMap(entry)) return;
  const { port, frame, decode } = entry;
  if (typeof port === 'string') entry.port = port.startsWith('tcp://') ? { tcp: port.slice(6) } : { path: port };
  if (typeof frame === 'string') entry.frame = { type: frame };
  if (typeof decode === 'string') entry.decode = { type: decode };
  expandFlag(entry, 'bridge');
  // What boards with a USB connector speak, and the library's examples.
  if (entry.bridge !== undefined) entry.baud ??= BRIDGE_BAUD;
}

/** The register lists of Modbus units that name a device file, before those of the unit itself. */
function includeDevices(tree: unknown, absolute: (path: string) => string, report: Report): void {
  if (!isMap(tree) || !Array.isArray(tree.serial)) return;
  for (const [index, port] of tree.serial.entries()) {
    if (!isMap(port) || !isMap(port.modbus) || !Array.isArray(port.modbus.units)) continue;
    for (const [place, unit] of port.modbus.units.entries()) {
      if (!isMap(unit) || typeof unit.device !== 'string') continue;
      // A bare name is one of those that come with the box.
      const isOurs = /^[a-z0-9-]+$/.test(unit.device);
      const file = isOurs ? fileURLToPath(new URL(`${unit.device}.yaml`, DEVICES)) : absolute(unit.device);
      const { text, failure } = readText(file, YAML_BYTES_MAX);
      const list = failure === null ? readYaml(text) : null;
      const registers = isMap(list?.value) ? list.value.registers : null;
      if (Array.isArray(registers)) {
        const own = Array.isArray(unit.registers) ? unit.registers : [];
        unit.registers = [...registers, ...own];
        continue;
      }
      const hint = 'name a YAML file with registers, or one of deploy/modbus without its folder and ".yaml"';
      const path = ['serial', index, 'modbus', 'units', place, 'device'];
      report(path, `${file} ${failure ?? 'has no list of registers'}`, hint);
    }
  }
}

/** `key: true` is `key: {}`, and `key: false` is none. */
function expandFlag(map: unknown, key: string): void {
  if (!isMap(map)) return;
  if (map[key] === true) map[key] = {};
  else if (map[key] === false) delete map[key];
}

function startsWith(path: Path, prefix: Path): boolean {
  return prefix.every((step, index) => path[index] === step);
}

/** As somebody reads the file: from the top, then the variables by name. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const line = (problem: Problem) => problem.line ?? (problem.variable === null ? 0 : Number.POSITIVE_INFINITY);
  return problems.toSorted((a, b) => {
    if (line(a) !== line(b)) return line(a) - line(b);
    return (a.column ?? 0) - (b.column ?? 0) || (a.variable ?? '').localeCompare(b.variable ?? '');
  });
}
