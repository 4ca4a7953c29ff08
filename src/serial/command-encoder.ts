import { GatewayError } from '../core/errors.ts';
import { type Encoding, loadEncoding } from './decode/encoding.ts';
import { encodeFrame } from './framing/framing.ts';
import type { CommandOptions, FramingOptions } from './options.ts';
import { plainText, Template } from './template.ts';

/** Makes the bytes of a command of a message's payload. */
export class CommandEncoder {
  readonly #options: CommandOptions;
  readonly #encoding: Encoding;
  readonly #framing: FramingOptions;
  readonly #template: Template;

  private constructor(options: CommandOptions, encoding: Encoding, framing: FramingOptions) {
    this.#options = options;
    this.#encoding = encoding;
    this.#framing = framing;
    this.#template = new Template(options.template);
  }

  static async make(options: CommandOptions, encoding: string, framing: FramingOptions): Promise<CommandEncoder> {
    return new CommandEncoder(options, await loadEncoding(encoding), framing);
  }

  /** A GatewayError where the payload is not what the encoding wants: the sender is told, and nothing is written. */
  encode(payload: Buffer): Buffer | GatewayError {
    const content = this.#content(payload);
    if (content instanceof GatewayError) return content;
    const { bytesMax } = this.#framing;
    if (content.length > bytesMax) {
      return new GatewayError('payload_too_large', `${content.length} bytes, and a frame of this port has ${bytesMax}`);
    }
    return this.#options.framed ? encodeFrame(this.#framing, content) : Buffer.from(content);
  }

  #content(payload: Buffer): Buffer | GatewayError {
    switch (this.#options.encode) {
      case 'raw':
        return payload;
      case 'text':
        return this.#encoding.encode(payload.toString());
      case 'hex': {
        const digits = payload.toString('latin1').replaceAll(/\s/g, '');
        if (digits.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(digits)) return Buffer.from(digits, 'hex');
        return invalid('the payload is not hexadecimal digits in pairs');
      }
      case 'json': {
        const fields = parsed(payload);
        if (fields === null) return invalid('the payload is no JSON object');
        const text = this.#template.fill(fields, plainText);
        return text === null ? invalid('the payload lacks a field of the template') : this.#encoding.encode(text);
      }
    }
  }
}

function parsed(payload: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function invalid(why: string): GatewayError {
  return new GatewayError('config_invalid', `The command was not sent: ${why}`, { retriable: false });
}
