import { DecodeError, type Decoder } from './decoded.ts';
import { autoValue } from './values.ts';

/**
 * NMEA 0183 sentences. Every one gives `talker`, `sentence` and `values` (its fields as they stand); those below also
 * give what they say by name, in degrees, metres, km/h and UTC.
 */

type Columns = readonly string[];
type Reader = (at: (index: number) => string) => Record<string, unknown>;

const number = (text: string): number | null => (text === '' ? null : toNumber(text));

function toNumber(text: string): number {
  const value = autoValue(text.replace(/^([+-]?)0+(?=\d)/, '$1'), '.');
  if (typeof value !== 'number') throw new DecodeError('bad_value', 'a field of the sentence is no number');
  return value;
}

/** `ddmm.mmmm` and a letter. */
function degrees(text: string, letter: string): number | null {
  if (text === '') return null;
  const found = /^(\d{1,3})(\d\d(?:\.\d+)?)$/.exec(text);
  if (found === null) throw new DecodeError('bad_value', 'a position is not of the form ddmm.mmmm');
  const value = Number(found[1]) + Number(found[2]) / 60;
  return Number((letter === 'S' || letter === 'W' ? -value : value).toFixed(7));
}

function timeOfDay(text: string): string | null {
  const found = /^(\d\d)(\d\d)(\d\d(?:\.\d+)?)$/.exec(text);
  return found === null ? null : `${found[1]}:${found[2]}:${found[3]}Z`;
}

function dateTime(date: string, time: string): string | null {
  const day = /^(\d\d)(\d\d)(\d\d)$/.exec(date);
  const clock = timeOfDay(time);
  if (day === null || clock === null) return null;
  // GPS began in 1980.
  const century = Number(day[3]) < 80 ? '20' : '19';
  return `${century}${day[3]}-${day[2]}-${day[1]}T${clock}`;
}

const knotsToKmh = (knots: number | null): number | null =>
  knots === null ? null : Number((knots * 1.852).toFixed(3));

const readers: Readonly<Record<string, Reader>> = {
  RMC: (at) => ({
    time: dateTime(at(8), at(0)),
    valid: at(1) === 'A',
    latitude: degrees(at(2), at(3)),
    longitude: degrees(at(4), at(5)),
    speed: knotsToKmh(number(at(6))),
    course: number(at(7)),
  }),
  GGA: (at) => ({
    time: timeOfDay(at(0)),
    latitude: degrees(at(1), at(2)),
    longitude: degrees(at(3), at(4)),
    quality: number(at(5)),
    satellites: number(at(6)),
    hdop: number(at(7)),
    altitude: number(at(8)),
  }),
  GLL: (at) => ({
    latitude: degrees(at(0), at(1)),
    longitude: degrees(at(2), at(3)),
    time: timeOfDay(at(4)),
    valid: at(5) === 'A',
  }),
  VTG: (at) => ({ course: number(at(0)), speed: number(at(6)) }),
  ZDA: (at) => ({ time: dateTime(at(1) + at(2) + at(3).slice(2), at(0)) }),
  GSA: (at) => ({ fix: number(at(1)), pdop: number(at(14)), hdop: number(at(15)), vdop: number(at(16)) }),
  HDT: (at) => ({ heading: number(at(0)) }),
  DBT: (at) => ({ depth: number(at(2)) }),
  MWV: (at) => ({
    angle: number(at(0)),
    reference: at(1),
    speed: number(at(2)),
    speed_unit: at(3),
    valid: at(4) === 'A',
  }),
};

export function nmeaDecoder(text: (bytes: Buffer) => string): Decoder {
  return (frame) => {
    const [address = '', ...values]: Columns = text(frame).split(',');
    // Proprietary sentences begin with P and name their maker.
    const isProprietary = address.startsWith('P');
    if (!/^[A-Z0-9]{3,8}$/.test(address)) throw new DecodeError('no_match', 'the frame does not begin as a sentence');
    const talker = isProprietary ? address.slice(0, 4) : address.slice(0, -3);
    const sentence = isProprietary ? address.slice(4) : address.slice(-3);
    const read = isProprietary ? undefined : readers[sentence];
    const named = read?.((index) => values[index] ?? '') ?? {};
    return { fields: { talker, sentence, ...named, values } };
  };
}
