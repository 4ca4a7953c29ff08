/* The CBOR [RFC 8949] that boards need: single items, integers of 32 bits, floating point of 32 bits. */
#include "petiole_internal.h"

enum { FALSE_ITEM = 0xf4, TRUE_ITEM = 0xf5, NULL_ITEM = 0xf6, FLOAT32_ITEM = 0xfa };

/* In the order of the network. */
static void put(uint8_t *to, uint8_t count, uint32_t bits) {
  for (; count > 0; count--) {
    to[count - 1] = (uint8_t)bits;
    bits >>= 8;
  }
}

uint8_t petiole_cbor_head(uint8_t *to, uint8_t major, uint32_t argument) {
  uint8_t count = 4;
  uint8_t info = 26;
  if (argument < 24) {
    count = 0;
    info = (uint8_t)argument;
  } else if (argument < 0x100) {
    count = 1;
    info = 24;
  } else if (argument < 0x10000) {
    count = 2;
    info = 25;
  }
  to[0] = (uint8_t)(major << 5 | info);
  put(to + 1, count, argument);
  return (uint8_t)(count + 1);
}

uint8_t petiole_cbor_value(uint8_t *to, const petiole_value *value) {
  uint32_t bits;
  uint8_t type = value->type;
  /* Of an integer and of a floating point number. */
  memcpy(&bits, &value->as, 4);
  if (type == PETIOLE_TEXT || type == PETIOLE_BYTES) {
    return petiole_cbor_head(to, type == PETIOLE_TEXT ? MAJOR_TEXT : MAJOR_BYTES, value->as.text.length);
  }
  if (type == PETIOLE_INTEGER) {
    if ((bits & 0x80000000u) != 0) return petiole_cbor_head(to, MAJOR_NEGATIVE, ~bits);
    return petiole_cbor_head(to, MAJOR_UNSIGNED, bits);
  }
  if (type == PETIOLE_FLOAT) {
    to[0] = FLOAT32_ITEM;
    put(to + 1, 4, bits);
    return 5;
  }
  to[0] = NULL_ITEM;
  if (type == PETIOLE_BOOLEAN) to[0] = value->as.integer != 0 ? TRUE_ITEM : FALSE_ITEM;
  return 1;
}

uint8_t petiole_cbor_read(const uint8_t **at, const uint8_t *end, petiole_value *value) {
  const uint8_t *from = *at;
  uint32_t argument;
  uint8_t first, major, count;
  if (from >= end) return PETIOLE_MALFORMED;
  first = *from++;
  major = first >> 5;
  argument = first & 0x1f;
  if (argument >= 24) {
    if (argument > 26) return PETIOLE_BAD_VALUE;
    count = (uint8_t)(1u << (argument - 24));
    argument = 0;
    while (count-- > 0) {
      if (from >= end) return PETIOLE_MALFORMED;
      argument = argument << 8 | *from++;
    }
  }
  value->type = PETIOLE_INTEGER;
  if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
    if (argument > (size_t)(end - from)) return PETIOLE_MALFORMED;
    value->type = major == MAJOR_TEXT ? PETIOLE_TEXT : PETIOLE_BYTES;
    value->as.text.bytes = from;
    value->as.text.length = (uint16_t)argument;
    from += value->as.text.length;
  } else if (first == FLOAT32_ITEM) {
    value->type = PETIOLE_FLOAT;
    memcpy(&value->as.real, &argument, 4);
  } else if (first == TRUE_ITEM || first == FALSE_ITEM) {
    value->type = PETIOLE_BOOLEAN;
    value->as.integer = first & 1;
  } else if (first == NULL_ITEM) {
    value->type = PETIOLE_NULL;
  } else {
    if (major > MAJOR_NEGATIVE || (argument & 0x80000000u) != 0) return PETIOLE_BAD_VALUE;
    value->as.integer = (int32_t)(major == MAJOR_NEGATIVE ? ~argument : argument);
  }
  *at = from;
  return PETIOLE_OK;
}
