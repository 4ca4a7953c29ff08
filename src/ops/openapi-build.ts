import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createGenerator } from 'ts-json-schema-generator';
import { type Endpoint, endpoints, type QueryParameter } from './endpoints.ts';

/*
 * Writes dist/openapi.json, part of `npm run build`: the paths are those of endpoints.ts, the schemas are the types of
 * api.ts with their comments. Made here and not on the box, where a generator would only take memory.
 */

const ROOT = join(import.meta.dirname, '../..');
type Json = Record<string, unknown>;

/** The document, by OpenAPI 3.1.1. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    const path = paths[endpoint.path] ?? {};
    paths[endpoint.path] = { ...path, [endpoint.method.toLowerCase()]: operation(endpoint) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Petiole',
      version,
      description:
        'The status server of a box. Times ending in `Ms` are milliseconds since 1970 by its clock unless they name a span.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: { schemas: schemas(), securitySchemes },
  };
}

const securitySchemes = {
  secret: { type: 'http', scheme: 'bearer', description: '`petiole status --secret` shows the secrets of a box' },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'petiole-8080',
    description:
      'Set by POST /api/session; named for the port, and with `__Host-` ahead of it by TLS. Whatever changes something needs its CSRF token, too, as Petiole-CSRF',
  },
};

function operation({ method, path, role, summary, query = {}, body, answer }: Endpoint): Json {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const segment = { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' };
  const parameters = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: segment })),
    ...Object.entries(query).map(([name, parameter]) => queryParameter(name, parameter)),
  ];
  const isHealth = path === '/healthz';
  const good = { description: 'Done', content: content({ answer }) };
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[/.{}]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    // The empty one: nobody has to sign in. Of a viewer the box may ask nothing either, see status.viewer.
    security: [...(role === 'operator' ? [] : [{}]), { secret: [] }, { session: [] }],
    'x-role': role,
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: true, content: jsonOf(body) } }),
    responses: {
      [answer.kind === 'json' ? (answer.status ?? 200) : 200]: good,
      ...(isHealth && { 503: { ...good, description: 'The box can take no data' } }),
      ...(!isHealth && { default: { description: 'Not done, and why', content: jsonOf('ApiError') } }),
    },
    // OpenAPI 3.1 has no words for the data of events.
    ...(answer.kind === 'events' && {
      'x-events': Object.fromEntries(Object.entries(answer.events).map(([name, type]) => [name, reference(type)])),
    }),
  };
}

function content({ answer }: Pick<Endpoint, 'answer'>): Json {
  if (answer.kind === 'json') return jsonOf(answer.type);
  const schema = { type: 'string' };
  return { [answer.kind === 'events' ? 'text/event-stream' : answer.mediaType]: { schema } };
}

function queryParameter(name: string, parameter: QueryParameter): Json {
  const { description, ...rest } = parameter;
  const [times, isRequired] = rest.type === 'string' ? [rest.times, rest.isRequired] : [];
  const { times: _times, isRequired: _isRequired, ...schema } = rest as Json;
  const several = { type: 'array', minItems: 1, maxItems: times, items: schema };
  return {
    name,
    in: 'query',
    ...(isRequired && { required: true }),
    ...(description !== undefined && { description }),
    schema: times === undefined ? schema : several,
  };
}

const reference = (type: string): Json => ({ $ref: `#/components/schemas/${type}` });
const jsonOf = (type: string): Json => ({ 'application/json': { schema: reference(type) } });

/** Of every type that an endpoint names, and of those in them. */
function schemas(): Json {
  const generator = createGenerator({
    path: join(import.meta.dirname, 'api.ts'),
    tsconfig: join(ROOT, 'tsconfig.json'),
    type: '*',
    // The build has just done it.
    skipTypeCheck: true,
    additionalProperties: false,
    topRef: false,
    encodeRefs: false,
  });
  const named = new Set(
    endpoints.flatMap(({ body, answer }) => [
      ...(body === undefined ? [] : [body]),
      ...(answer.kind === 'json' ? [answer.type] : answer.kind === 'events' ? Object.values(answer.events) : []),
    ]),
  );
  const found: Json = {};
  // Each throws where there is no such type.
  for (const type of [...named, 'ApiError', 'ExportLine']) {
    const { $schema: _, definitions, ...own } = generator.createSchema(type) as Json;
    Object.assign(found, definitions as Json, { [type]: own });
  }
  return Object.fromEntries(
    Object.entries(found)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => [name, modern(schema)]),
  );
}

/** The generator writes JSON Schema draft 7; OpenAPI 3.1 reads 2020-12, where a tuple has other words. */
function modern(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(modern);
  if (typeof value === 'string') return value.replace(/^#\/definitions\//, '#/components/schemas/');
  if (typeof value !== 'object' || value === null) return value;
  const { items, ...rest } = value as Json;
  const tuple = Array.isArray(items) ? { prefixItems: modern(items), items: false } : items && { items: modern(items) };
  return { ...Object.fromEntries(Object.entries(rest).map(([key, one]) => [key, modern(one)])), ...(tuple as Json) };
}

if (import.meta.main) {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  writeFileSync(join(ROOT, 'dist/openapi.json'), `${JSON.stringify(openApiDocument(version))}\n`);
}
