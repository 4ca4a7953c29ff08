import { parseArgs } from 'node:util';
import { GatewayError } from '../core/errors.ts';
import { type Device, type DevicePage, deviceKinds, deviceSorts } from '../ops/api.ts';
import { renderTable } from '../ops/terminal.ts';
import type { Table } from '../ops/view.ts';
import { ago, count, counted, printable, rate } from '../ops/words.ts';
import { type BoxPage, boxPage, pageOptions, pageUsage } from './box-page.ts';
import { carryOut } from './carry-out.ts';
import type { Command } from './command.ts';
import { terminalOut, writeJson } from './out.ts';

/** As many as the box gives at once. */
const LIMIT = 5000;

const usage = `petiole devices [list] [SEARCH] [OPTIONS]
petiole devices kick DEVICE [OPTIONS]

Shows what is connected to a running box: MQTT clients, NATS clients, serial ports with their Modbus units, boards and
their entities, and sensors that went without a word. SEARCH is a part of a name, an address, a user or a protocol.
"kick" ends a connection; the client may come again. DEVICE is its name, or its id where several have this name.

  --kind KIND         only these: ${deviceKinds.join(', ')}
  --sort KEY          ${deviceSorts.slice(0, 6).join(', ')},
                      ${deviceSorts.slice(6).join(', ')} (default: name)
  --desc              the largest first
  --limit N           at most so many (default: ${LIMIT})
  --json              print JSON: devices, total, byKind, nowMs
${pageUsage}

Exit codes: 0 done, 1 the box doesn't answer or refuses, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  petiole devices
  petiole devices oven --sort lastSeenMs
  petiole devices --kind mqtt --sort rateInPerS --desc --limit 10
  petiole devices --json | jq -r '.devices[] | select(.state == "absent").name'
  petiole devices kick pump-3
`;

/** `petiole devices`: what is connected to a running box. */
export const devices: Command = {
  name: 'devices',
  summary: 'list what is connected, and end a connection',
  usage,
  run,
};

function run(args: string[]): Promise<number> {
  return carryOut(
    devices,
    () => parsed(args),
    async (options) => {
      const page = await boxPage(options);
      return options.action === 'kick' ? kick(page, options.text) : list(page, options);
    },
  );
}

type Options = ReturnType<typeof parsed>;

function parsed(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...pageOptions,
      kind: { type: 'string', default: '' },
      sort: { type: 'string', default: 'name' },
      desc: { type: 'boolean', default: false },
      limit: { type: 'string', default: String(LIMIT) },
      json: { type: 'boolean', default: false },
    },
  });
  const [first = 'list', ...rest] = positionals;
  const action = first === 'kick' || first === 'list' ? first : 'list';
  const [text = '', ...more] = first === action ? rest : [first, ...rest];
  if (more.length > 0) throw new Error('one SEARCH or DEVICE at a time; quote it where it has spaces');
  if (action === 'kick' && text === '') throw new Error('kick needs a DEVICE');
  if (values.kind !== '' && !deviceKinds.some((kind) => kind === values.kind)) {
    throw new Error(`--kind is one of ${deviceKinds.join(', ')}`);
  }
  if (!deviceSorts.some((sort) => sort === values.sort)) throw new Error(`--sort is one of ${deviceSorts.join(', ')}`);
  const limit = Number(values.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT) throw new Error(`--limit is a number from 1 to ${LIMIT}`);
  return { ...values, limit, action, text };
}

async function list(page: BoxPage, { text, kind, sort, desc, limit, json }: Options): Promise<number> {
  const query = new URLSearchParams({ q: text, kind, sort, order: desc ? 'desc' : 'asc', limit: String(limit) });
  const found = await page.json<DevicePage>(`/api/devices?${query}`);
  if (json) writeJson(found);
  else process.stdout.write(shown(found));
  return 0;
}

function shown({ devices: rows, total, nowMs }: DevicePage): string {
  if (rows.length === 0) return 'No device fits.\n';
  const column = (label: string, numeric = false) => ({ label, numeric, minor: false });
  const table: Table = {
    columns: [
      ...['Name', 'Kind', 'State', 'Address'].map((label) => column(label)),
      ...['Last seen', 'Rate', 'In', 'Out', 'Errors'].map((label) => column(label, true)),
    ],
    rows: rows.map((device) => ({
      key: device.id,
      cells: [
        printable(device.name || device.id, 60),
        device.kind,
        device.state,
        printable(device.remote, 60) || '–',
        ago(device.lastSeenMs, nowMs),
        rate(device.rateInPerS),
        count(device.messagesIn),
        count(device.messagesOut),
        count(device.errors),
      ],
    })),
    note: '',
  };
  const left = total === rows.length ? '' : ` of ${count(total)}`;
  return `${renderTable(table, terminalOut())}${counted(rows.length, 'device')}${left}\n`;
}

async function kick(page: BoxPage, wanted: string): Promise<number> {
  const { id, name } = await one(page, wanted);
  await page.json('/api/devices/kick', { method: 'POST', body: { id } });
  process.stdout.write(`The connection of ${printable(name)} is ended; it may come again.\n`);
  return 0;
}

/** By its id, else by its whole name. */
async function one(page: BoxPage, wanted: string): Promise<Device> {
  const { devices: all } = await page.json<DevicePage>(`/api/devices?limit=${LIMIT}`);
  const named = all.filter(({ id, name }) => id === wanted || name === wanted);
  const found = named.find(({ id }) => id === wanted) ?? (named.length === 1 ? named[0] : undefined);
  if (found?.canKick) return found;
  const [message, hint] =
    found !== undefined
      ? [`${printable(wanted)} has no connection that could be ended`, 'Those of MQTT and NATS clients can']
      : named.length > 1
        ? [
            `${named.length} devices are called ${printable(wanted)}`,
            `Give an id: ${named.map(({ id }) => printable(id)).join(', ')}`,
          ]
        : [`Nothing is called ${printable(wanted)}`, '`petiole devices` lists what is connected'];
  throw new GatewayError('not_connected', message, { hint, retriable: false });
}
