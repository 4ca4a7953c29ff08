/** Makes a path of the file absolute: it counts from the file's folder. */
export type PathResolver = (path: string) => string;

export function fileOrNull(path: string | undefined, absolute: PathResolver): string | null {
  return path === undefined ? null : absolute(path);
}

/** What the file's paths have led to. */
export interface Resolved {
  readonly absolute: PathResolver;
  readonly password: string | null;
  readonly token: string | null;
  readonly nkeySeed: string | null;
  readonly proxyPassword: string | null;
}
