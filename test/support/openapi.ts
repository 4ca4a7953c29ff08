import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { DIST } from './box.ts';

const schemas = new Ajv2020({ strict: false, allErrors: true });
const { components } = JSON.parse(readFileSync(join(DIST, 'openapi.json'), 'utf8'));
schemas.addSchema({ $id: 'petiole', components });

/** Fails where `value` is not what the API's document calls `type`, no less and no more. */
export function fits(type: string, value: unknown, what: string): void {
  const validate = schemas.compile({ $ref: `petiole#/components/schemas/${type}` });
  const isFit = validate(value);
  const told = validate.errors?.map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
  assert.ok(isFit, `${what} is no ${type}: ${told?.join('; ')}`);
}
