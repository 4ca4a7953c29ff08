/* Frames as bytes: check, COBS, fields. */
#include "petiole_internal.h"

#if PETIOLE_CRC16
petiole_check petiole_check_bytes(petiole_check check, const uint8_t *bytes, uint16_t length) {
  while (length-- > 0) {
    uint8_t bit;
    check = (petiole_check)(check ^ (uint16_t)((uint16_t)*bytes++ << 8));
    for (bit = 0; bit < 8; bit++) {
      check = (petiole_check)((check & 0x8000u) != 0 ? (uint16_t)(check << 1) ^ 0x1021u : (uint16_t)(check << 1));
    }
  }
  return check;
}
#else
petiole_check petiole_check_bytes(petiole_check check, const uint8_t *bytes, uint16_t length) {
  while (length-- > 0) {
    uint8_t bit;
    check ^= *bytes++;
    for (bit = 0; bit < 8; bit++) check = (check & 1u) != 0 ? (check >> 1) ^ 0x82f63b78u : check >> 1;
  }
  return check;
}
#endif

void petiole_frame_begin(petiole_sender *sender, uint8_t type, uint8_t flags, uint16_t sequence, uint8_t channel,
                         uint16_t frame_max) {
  sender->length = 0;
  sender->is_full = 0;
  sender->limit = (uint16_t)(frame_max - PETIOLE_CHECK_BYTES);
  petiole_frame_u8(sender, PETIOLE_VERSION);
  petiole_frame_u8(sender, type);
  petiole_frame_u8(sender, flags);
  petiole_frame_u16(sender, sequence);
  petiole_frame_u8(sender, channel);
}

void petiole_frame_u8(petiole_sender *sender, uint8_t value) {
  if (sender->length >= sender->limit) {
    sender->is_full = 1;
    return;
  }
  sender->line[PETIOLE_PLAIN_AT + sender->length++] = value;
}

void petiole_frame_u16(petiole_sender *sender, uint16_t value) {
  petiole_frame_u8(sender, (uint8_t)value);
  petiole_frame_u8(sender, (uint8_t)(value >> 8));
}

void petiole_frame_u32(petiole_sender *sender, uint32_t value) {
  petiole_frame_u16(sender, (uint16_t)value);
  petiole_frame_u16(sender, (uint16_t)(value >> 16));
}

void petiole_frame_bytes(petiole_sender *sender, const uint8_t *bytes, uint16_t length) {
  while (length-- > 0) petiole_frame_u8(sender, *bytes++);
}

void petiole_frame_text(petiole_sender *sender, const char *text) {
  uint16_t length = petiole_length(text);
  petiole_frame_u8(sender, (uint8_t)length);
  petiole_frame_bytes(sender, (const uint8_t *)text, length);
}

void petiole_frame_end(petiole_sender *sender) {
  uint8_t *line = sender->line;
  const uint8_t *from = line + PETIOLE_PLAIN_AT;
  const uint8_t *end;
  uint16_t code_at = 1;
  uint16_t to = 2;
  petiole_check check = petiole_check_bytes(PETIOLE_CHECK_START, from, sender->length);
  sender->limit = PETIOLE_FRAME_MAX;
#if PETIOLE_CRC16
  petiole_frame_u16(sender, check);
#else
  petiole_frame_u32(sender, check ^ PETIOLE_CHECK_END);
#endif
  end = from + sender->length;
  /* A zero in front of each frame: after noise, or a reset in the middle of one, it costs this byte and not the frame. */
  line[0] = 0;
  while (from < end) {
    uint8_t byte = *from++;
    if (byte != 0) line[to++] = byte;
    if (byte == 0 || (to - code_at == 255 && from < end)) {
      line[code_at] = (uint8_t)(to - code_at);
      code_at = to++;
    }
  }
  line[code_at] = (uint8_t)(to - code_at);
  line[to++] = 0;
  sender->length = to;
  sender->at = 0;
}

static void store(petiole_receiver *receiver, uint8_t byte) {
  if (receiver->length == PETIOLE_FRAME_MAX) receiver->is_bad = 1;
  else receiver->frame[receiver->length++] = byte;
}

static uint8_t is_sound(const petiole_receiver *receiver) {
  uint16_t length = (uint16_t)(receiver->length - PETIOLE_CHECK_BYTES);
  petiole_check check;
  if (receiver->length < PETIOLE_HEADER_BYTES + PETIOLE_CHECK_BYTES || receiver->frame[0] != PETIOLE_VERSION) return 0;
  check = petiole_check_bytes(PETIOLE_CHECK_START, receiver->frame, length);
#if PETIOLE_CRC16
  return check == petiole_u16_at(receiver->frame + length);
#else
  return (check ^ PETIOLE_CHECK_END) == petiole_u32_at(receiver->frame + length);
#endif
}

uint8_t petiole_frame_byte(petiole_receiver *receiver, uint8_t byte) {
  if (byte == 0) {
    uint8_t is_whole = !receiver->is_bad && receiver->left == 0;
    uint8_t is_empty = receiver->code == 0;
    receiver->code = receiver->left = receiver->is_bad = 0;
    if (is_empty) return FRAME_NONE;
    return is_whole && is_sound(receiver) ? FRAME_SOUND : FRAME_BAD;
  }
  if (receiver->is_bad) return FRAME_NONE;
  if (receiver->left > 0) {
    receiver->left--;
    store(receiver, byte);
    return FRAME_NONE;
  }
  /* A code: the zero behind the group before it, if it has one. */
  if (receiver->code == 0) receiver->length = 0;
  else if (receiver->code != 0xff) store(receiver, 0);
  receiver->code = byte;
  receiver->left = (uint8_t)(byte - 1);
  return FRAME_NONE;
}

uint16_t petiole_u16_at(const uint8_t *bytes) { return (uint16_t)(bytes[0] | (uint16_t)((uint16_t)bytes[1] << 8)); }

uint32_t petiole_u32_at(const uint8_t *bytes) {
  return petiole_u16_at(bytes) | (uint32_t)petiole_u16_at(bytes + 2) << 16;
}

void petiole_put_u32(uint8_t *bytes, uint32_t value) {
  uint8_t i;
  for (i = 0; i < 4; i++) {
    bytes[i] = (uint8_t)value;
    value >>= 8;
  }
}

uint16_t petiole_length(const char *text) { return text == NULL ? 0 : (uint16_t)strlen(text); }
