import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** A program that has a device open. */
export interface Holder {
  readonly pid: number;
  readonly name: string;
}

/**
 * Who has which device node open, from /proc. Of other users' programs only root sees it; what can't be read is left out.
 * `root` is '/' but for tests.
 */
export async function holdersOf(nodes: ReadonlySet<string>, root = '/'): Promise<Map<string, Holder[]>> {
  const holders = new Map<string, Holder[]>();
  const proc = join(root, 'proc');
  for (const entry of await readdir(proc).catch(() => [])) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const open = new Set<string>();
    for (const descriptor of await readdir(join(proc, entry, 'fd')).catch(() => [])) {
      const target = await readlink(join(proc, entry, 'fd', descriptor)).catch(() => '');
      if (nodes.has(target)) open.add(target);
    }
    if (open.size === 0) continue;
    const name = (await readFile(join(proc, entry, 'comm'), 'utf8').catch(() => '')).trim();
    for (const node of open) holders.set(node, [...(holders.get(node) ?? []), { pid, name }]);
  }
  return holders;
}
