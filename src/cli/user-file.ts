import {
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { loadConfig } from '../config/load.ts';
import type { Problem } from '../config/problems.ts';

export interface NewUser {
  readonly name: string;
  readonly passwordHash: string | null;
  readonly tokenHash: string | null;
  readonly nkey: string | null;
  readonly certificate: string | null;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** The users in a configuration file: changed in place, with the comments and all other keys kept. */
export class UserFile {
  readonly #path: string;
  readonly #text: string;
  readonly #document: Document;

  /** Throws an Error in words where the file is no readable YAML. */
  constructor(path: string) {
    // A link stays a link: what it leads to is replaced.
    this.#path = realpathSync(path);
    this.#text = readFileSync(this.#path, 'utf8');
    this.#document = parseDocument(this.#text);
    if (this.#document.errors.length > 0) throw new Error(`${path} is no well-formed YAML: see petiole check`);
  }

  get #users(): YAMLSeq | null {
    const users = this.#document.get('users');
    if (users === undefined || users === null) return null;
    if (!isSeq(users)) throw new Error('users: is not a list in the file: see petiole check');
    return users;
  }

  #find(name: string): YAMLMap | null {
    const found = this.#users?.items.find((item) => isMap(item) && item.get('name') === name);
    return isMap(found) ? found : null;
  }

  has(name: string): boolean {
    return this.#find(name) !== null;
  }

  add({ name, passwordHash, tokenHash, nkey, certificate, publish, subscribe }: NewUser): void {
    const user = this.#document.createNode({
      name,
      ...(passwordHash !== null && { password_hash: passwordHash }),
      ...(tokenHash !== null && { token_hash: tokenHash }),
      ...(nkey !== null && { nkey }),
      ...(certificate !== null && { certificate }),
      publish,
      subscribe,
    });
    for (const key of ['publish', 'subscribe']) {
      const rules = user.get(key);
      if (isSeq(rules)) rules.flow = true;
    }
    if (this.#users === null) this.#document.set('users', this.#document.createNode([]));
    const users = this.#users;
    if (users?.items.length === 0) users.flow = false;
    users?.add(user);
  }

  /** Of a user that is there. */
  set(name: string, key: 'password_hash' | 'token_hash', hash: string): void {
    this.#find(name)?.set(key, hash);
  }

  remove(name: string): void {
    const users = this.#users;
    if (users === null) return;
    users.items = users.items.filter((item) => !(isMap(item) && item.get('name') === name));
    if (users.items.length === 0) this.#document.delete('users');
  }

  /**
   * Writes the file as a whole or not at all, and only where its users are right; gives back the problems of the users,
   * or, where there are none and it was written, those of other keys.
   */
  save(): { isSaved: boolean; problems: readonly Problem[] } {
    // The list stays indented, or not, as its writer likes it.
    const indentSeq = !/^( *)[\w-]+:[ \t]*(?:#.*)?\n\1- /m.test(this.#text);
    const text = this.#document.toString({ lineWidth: 0, indentSeq });
    const folder = dirname(this.#path);
    const draft = join(folder, `.${basename(this.#path)}.${process.pid}`);
    try {
      const { mode, uid, gid } = statSync(this.#path);
      writeFileSync(draft, text, { mode: mode & 0o777, flag: 'wx', flush: true });
      if (process.getuid?.() === 0) chownSync(draft, uid, gid);
      const { problems } = loadConfig({ file: draft, env: {}, cwd: folder });
      const ofUsers = problems.filter(({ path }) => path.startsWith('users'));
      if (ofUsers.length > 0) return { isSaved: false, problems: ofUsers };
      renameSync(draft, this.#path);
      syncFolder(folder);
      return { isSaved: true, problems };
    } finally {
      rmSync(draft, { force: true });
    }
  }
}

/** So that the new name survives a power cut too. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
