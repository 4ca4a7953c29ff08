/** The two checks of a frame. Both go over the bytes from `start` to `end`. */

/** CRC-32C (CRC-32/ISCSI of the RevEng catalogue): polynomial 0x1edc6f41, reflected, all ones in and out. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffffffff;
  for (let i = start; i < end; i++) {
    crc = (table32[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

const table32 = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-16/IBM-3740 of the RevEng catalogue: polynomial 0x1021, not reflected, all ones in. */
export function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffff;
  for (let i = start; i < end; i++) {
    crc = (table16[((crc >>> 8) ^ (bytes[i] as number)) & 0xff] as number) ^ ((crc << 8) & 0xffff);
  }
  return crc;
}

const table16 = Uint16Array.from({ length: 256 }, (_, index) => {
  let crc = index << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});
