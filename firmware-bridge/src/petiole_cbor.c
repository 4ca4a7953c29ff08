/* The CBOR [RFC 8949] that boards need: single items, integers of 32 bits, floating point of 32 bits. */
#include "petiole_internal.h"

enum { FALSE_ITEM = 0xf4, NULL_ITEM = 0xf6, FLOAT32_ITEM = 0xfa };

/* The first byte, and so many of the argument in the order of the network. */
static PETIOLE_APART uint8_t *put(uint8_t *to, uint8_t first, uint8_t count, uint32_t argument) {
  uint8_t *at = to + count;
  *to = first;
  for (; at > to; at--) {
    *at = (uint8_t)argument;
    argument >>= 8;
  }
  return to + count + 1;
}

uint8_t *petiole_cbor_head(uint8_t *to, uint8_t major, uint32_t argument) {
  uint8_t first = (uint8_t)(major << 5);
  if (argument < 24) return put(to, (uint8_t)(first | argument), 0, 0);
  if (argument < 0x100) return put(to, first | 24, 1, argument);
  if (argument < 0x10000) return put(to, first | 25, 2, argument);
  return put(to, first | 26, 4, argument);
}

uint8_t *petiole_cbor_value(uint8_t *to, uint8_t type, uint32_t bits) {
  uint8_t major = MAJOR_UNSIGNED;
  if (type == PETIOLE_FLOAT) return put(to, FLOAT32_ITEM, 4, bits);
  if (type == PETIOLE_BOOLEAN) return put(to, bits != 0 ? FALSE_ITEM | 1 : FALSE_ITEM, 0, 0);
  if (type == PETIOLE_NULL) return put(to, NULL_ITEM, 0, 0);
  if (type == PETIOLE_TEXT) major = MAJOR_TEXT;
  if (type == PETIOLE_BYTES) major = MAJOR_BYTES;
  if (type == PETIOLE_INTEGER && (bits & 0x80000000u) != 0) {
    bits = ~bits;
    major = MAJOR_NEGATIVE;
  }
  return petiole_cbor_head(to, major, bits);
}

uint32_t petiole_cbor_bits(const petiole_value *value) {
  uint32_t bits;
  if (value->type == PETIOLE_TEXT || value->type == PETIOLE_BYTES) return value->as.text.length;
  memcpy(&bits, &value->as, 4);
  return bits;
}

uint8_t petiole_cbor_read(const uint8_t **at, const uint8_t *end, petiole_value *value) {
  const uint8_t *from = *at;
  uint32_t argument;
  uint8_t first, major;
  uint8_t count = 0;
  if (from >= end) return PETIOLE_MALFORMED;
  first = *from++;
  major = first >> 5;
  argument = first & 0x1f;
  if (argument >= 24) {
    if (argument > 26) return PETIOLE_BAD_VALUE;
    count = (uint8_t)(1u << (argument - 24));
    if (count > end - from) return PETIOLE_MALFORMED;
    for (argument = 0; count > 0; count--) argument = argument << 8 | *from++;
  }
  value->type = PETIOLE_INTEGER;
  if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
    if (argument > (size_t)(end - from)) return PETIOLE_MALFORMED;
    value->type = major == MAJOR_TEXT ? PETIOLE_TEXT : PETIOLE_BYTES;
    value->as.text.bytes = from;
    value->as.text.length = (uint16_t)argument;
    from += (uint16_t)argument;
  } else if (first == FLOAT32_ITEM) {
    value->type = PETIOLE_FLOAT;
    memcpy(&value->as.real, &argument, 4);
  } else if ((first & 0xfe) == FALSE_ITEM) {
    value->type = PETIOLE_BOOLEAN;
    value->as.integer = first & 1;
  } else {
    if (major > MAJOR_NEGATIVE || (argument & 0x80000000u) != 0) return PETIOLE_BAD_VALUE;
    value->as.integer = (int32_t)(major == MAJOR_NEGATIVE ? ~argument : argument);
  }
  *at = from;
  return PETIOLE_OK;
}
