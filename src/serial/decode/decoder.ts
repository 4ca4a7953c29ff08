import { GatewayError } from '../../core/errors.ts';
import type { DecoderOptions } from '../options.ts';
import { binaryDecoder } from './binary.ts';
import type { Decoder } from './decoded.ts';
import { type Encoding, loadEncoding } from './encoding.ts';
import { jsonDecoder } from './json.ts';
import { nmeaDecoder } from './nmea.ts';
import { csvDecoder, keyValueDecoder, type Match, patternDecoder, textDecoder } from './text.ts';

/** Makes the decoder of a port. Rejects with `config_invalid` for an unknown encoding or a pattern that is none. */
export async function makeDecoder(options: DecoderOptions): Promise<Decoder> {
  const { decode: text }: Encoding = await loadEncoding(options.encoding);
  switch (options.type) {
    case 'raw':
      return (frame) => ({ fields: {}, whole: frame });
    case 'hex':
      return (frame) => {
        const hex = frame.toString('hex');
        return { fields: { hex }, whole: hex };
      };
    case 'text':
      return textDecoder(text);
    case 'json':
      return jsonDecoder(text);
    case 'csv':
      return csvDecoder(options, text);
    case 'key-value':
      return keyValueDecoder(options, text);
    case 'nmea':
      return nmeaDecoder(text);
    case 'binary':
      return binaryDecoder(options.fields, text);
    case 'pattern':
      return patternDecoder(options, await loadPattern(options.pattern), text);
  }
}

/** A regular expression in RE2's syntax: linear in time, so no text of a device can keep the box busy. */
export async function loadPattern(source: string): Promise<Match> {
  // Loaded only where a pattern is configured.
  const { RE2JS } = await import('re2js');
  let compiled: ReturnType<typeof RE2JS.compile>;
  try {
    compiled = RE2JS.compile(source);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError('config_invalid', `The pattern ${JSON.stringify(source)} can't be used: ${why}`, {
      hint: 'Patterns are in RE2 syntax: no look-around and no back-references',
      retriable: false,
      cause,
    });
  }
  const names = Object.keys(compiled.namedGroups());
  return (text) => {
    const matcher = compiled.matcher(text);
    if (!matcher.find()) return null;
    const groups: Record<string, string | null> = {};
    for (const name of names) groups[name] = matcher.group(name);
    return groups;
  };
}
