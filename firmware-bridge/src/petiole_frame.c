/* Frames as bytes: check, COBS, fields. */
#include "petiole_internal.h"

/* Bit by bit: a table takes more flash than most boards have to spare. */
petiole_check petiole_check_bytes(petiole_check check, const uint8_t *bytes, petiole_size length) {
  while (length-- > 0) {
    uint8_t bit;
#if PETIOLE_CRC16
    check = (petiole_check)(check ^ (uint16_t)((uint16_t)*bytes++ << 8));
    for (bit = 8; bit > 0; bit--) {
      check = (petiole_check)((check & 0x8000u) != 0 ? (uint16_t)(check << 1) ^ 0x1021u : (uint16_t)(check << 1));
    }
#else
    check ^= *bytes++;
    for (bit = 8; bit > 0; bit--) check = (check & 1u) != 0 ? (check >> 1) ^ 0x82f63b78u : check >> 1;
#endif
  }
  return check;
}

/* As it stands behind a frame. */
static void check_of(const uint8_t *frame, petiole_size length, uint8_t *to) {
  petiole_check check = petiole_check_bytes(PETIOLE_CHECK_START, frame, length);
#if PETIOLE_CRC16
  to[0] = (uint8_t)check;
  to[1] = (uint8_t)(check >> 8);
#else
  petiole_put_u32(to, ~check);
#endif
}

void petiole_frame_channel(petiole_sender *sender, uint8_t channel, uint16_t frame_max) {
  if (frame_max > PETIOLE_FRAME_MAX) frame_max = PETIOLE_FRAME_MAX;
  sender->channel = channel;
  sender->limit = (petiole_size)(frame_max - PETIOLE_CHECK_BYTES);
}

void petiole_frame_numbered(petiole_sender *sender, uint8_t type, uint8_t flags, uint16_t sequence) {
  sender->length = 0;
  sender->is_full = 0;
  petiole_frame_u8(sender, PETIOLE_VERSION);
  petiole_frame_u8(sender, type);
  petiole_frame_u8(sender, flags);
  petiole_frame_u16(sender, sequence);
  petiole_frame_u8(sender, sender->channel);
}

void petiole_frame_begin(petiole_sender *sender, uint8_t type) {
  petiole_frame_numbered(sender, type, 0, sender->counter++);
}

void petiole_frame_u8(petiole_sender *sender, uint8_t value) {
  if (sender->length >= sender->limit) sender->is_full = 1;
  else sender->line[PETIOLE_PLAIN_AT + sender->length++] = value;
}

void petiole_frame_u16(petiole_sender *sender, uint16_t value) {
  petiole_frame_u8(sender, (uint8_t)value);
  petiole_frame_u8(sender, (uint8_t)(value >> 8));
}

void petiole_frame_u32(petiole_sender *sender, uint32_t value) {
  petiole_frame_u16(sender, (uint16_t)value);
  petiole_frame_u16(sender, (uint16_t)(value >> 16));
}

void petiole_frame_bytes(petiole_sender *sender, const uint8_t *bytes, petiole_size length) {
  while (length-- > 0) petiole_frame_u8(sender, *bytes++);
}

void petiole_frame_text(petiole_sender *sender, const char *text) {
  uint8_t length = (uint8_t)petiole_length(text);
  petiole_frame_u8(sender, length);
  petiole_frame_bytes(sender, (const uint8_t *)text, length);
}

/* Each zero becomes the code of what follows it. Where a group is full before a zero comes, the rest moves up by one. */
void petiole_frame_end(petiole_sender *sender) {
  uint8_t *code = sender->line + 1;
  uint8_t *at = sender->line + PETIOLE_PLAIN_AT;
  uint8_t *end = at + sender->length;
  check_of(at, sender->length, end);
  end += PETIOLE_CHECK_BYTES;
  /* A zero in front of each frame: after noise, or a reset in the middle of one, it costs this byte and not the frame. */
  sender->line[0] = 0;
  for (; at < end; at++) {
#if PETIOLE_FRAME_MAX >= 254
    if (at - code == 255) {
      uint8_t before = 0;
      uint8_t *to;
      end++;
      for (to = at; to < end; to++) {
        uint8_t next = *to;
        *to = before;
        before = next;
      }
    }
#endif
    if (*at != 0) continue;
    *code = (uint8_t)(at - code);
    code = at;
  }
  *code = (uint8_t)(at - code);
  *at++ = 0;
  sender->length = (petiole_size)(at - sender->line);
  sender->at = 0;
}

static uint8_t is_sound(const petiole_receiver *receiver) {
  petiole_size length = (petiole_size)(receiver->length - PETIOLE_CHECK_BYTES);
  uint8_t check[PETIOLE_CHECK_BYTES];
  if (receiver->length < PETIOLE_HEADER_BYTES + PETIOLE_CHECK_BYTES || receiver->length > PETIOLE_FRAME_MAX) return 0;
  if (receiver->frame[0] != PETIOLE_VERSION) return 0;
  check_of(receiver->frame, length, check);
  return petiole_is_same(check, receiver->frame + length, sizeof check);
}

uint8_t petiole_frame_byte(petiole_receiver *receiver, uint8_t byte) {
  uint8_t left = receiver->left;
  uint8_t code = receiver->code;
  if (byte == 0) {
    receiver->left = receiver->code = 0;
    if (code == 0) return FRAME_NONE;
    return left == 0 && is_sound(receiver) ? FRAME_SOUND : FRAME_BAD;
  }
  if (left > 0) {
    receiver->left = (uint8_t)(left - 1);
  } else {
    /* A code: the zero behind the group before it, if it has one. */
    receiver->code = byte;
    receiver->left = (uint8_t)(byte - 1);
    if (code == 0) receiver->length = 0;
    if (code == 0 || code == 0xff) return FRAME_NONE;
    byte = 0;
  }
  if (receiver->length <= PETIOLE_FRAME_MAX) receiver->frame[receiver->length++] = byte;
  return FRAME_NONE;
}

uint16_t petiole_u16_at(const uint8_t *bytes) { return (uint16_t)(bytes[0] | (uint16_t)((uint16_t)bytes[1] << 8)); }

uint32_t petiole_u32_at(const uint8_t *bytes) {
  return petiole_u16_at(bytes) | (uint32_t)petiole_u16_at(bytes + 2) << 16;
}

void petiole_put_u32(uint8_t *bytes, uint32_t value) {
  uint8_t i;
  for (i = 4; i > 0; i--) {
    *bytes++ = (uint8_t)value;
    value >>= 8;
  }
}

void petiole_copy(uint8_t *to, const uint8_t *from, uint8_t length) {
  while (length-- > 0) *to++ = *from++;
}

uint8_t petiole_is_same(const uint8_t *one, const uint8_t *other, uint8_t length) {
  while (length-- > 0) {
    if (*one++ != *other++) return 0;
  }
  return 1;
}

uint16_t petiole_length(const char *text) {
  uint16_t length = 0;
  if (text == NULL) return 0;
  while (text[length] != 0) length++;
  return length;
}

const uint8_t *petiole_slice_at(const uint8_t *at, const uint8_t *end, petiole_slice *slice) {
  if (at == NULL || at >= end) return NULL;
  slice->length = *at++;
  slice->bytes = at;
  return slice->length > (size_t)(end - at) ? NULL : at + slice->length;
}
