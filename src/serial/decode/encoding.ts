import { GatewayError } from '../../core/errors.ts';
import { DecodeError } from './decoded.ts';

/** Text as a device writes it. */
export interface Encoding {
  /** Throws DecodeError where the bytes are no text in it. */
  decode(bytes: Buffer): string;
  encode(text: string): Buffer;
}

/** UTF-8 needs no library; the others come from iconv-lite, loaded only where one is configured. */
export async function loadEncoding(name: string): Promise<Encoding> {
  const plain = name.toLowerCase().replaceAll(/[-_ ]/g, '');
  if (plain === 'utf8') return utf8;
  if (plain === 'latin1' || plain === 'iso88591') {
    return { decode: (bytes) => bytes.toString('latin1'), encode: (text) => Buffer.from(text, 'latin1') };
  }
  const { default: iconv } = await import('iconv-lite');
  if (!iconv.encodingExists(name)) {
    throw new GatewayError('config_invalid', `There is no text encoding ${JSON.stringify(name)}`, {
      hint: 'For example utf-8, latin1, cp1252, cp437, shift_jis or gbk',
      retriable: false,
    });
  }
  return { decode: (bytes) => iconv.decode(bytes, name), encode: (text) => iconv.encode(text, name) };
}

const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const utf8: Encoding = {
  decode(bytes) {
    // Nearly every frame is ASCII, and that is the quickest to read.
    let isAscii = true;
    for (let i = 0; i < bytes.length; i++) {
      if ((bytes[i] ?? 0) > 0x7f) {
        isAscii = false;
        break;
      }
    }
    if (isAscii) return bytes.toString('latin1');
    try {
      return utf8Decoder.decode(bytes);
    } catch {
      throw new DecodeError('not_text', 'the bytes are no UTF-8');
    }
  },
  encode: (text) => Buffer.from(text),
};
