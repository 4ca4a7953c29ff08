/* What a board says of itself: HELLO and the maps of DESCRIBE. */
#include "petiole_internal.h"

/* That what is read in a row here stands in one. */
typedef char words_are_in_a_row[sizeof(petiole_words) == 7 * sizeof(uint32_t) ? 1 : -1];
typedef char texts_are_in_a_row[offsetof(petiole_config, version) == 3 * sizeof(char *) ? 1 : -1];

enum { KEY_NAME = 0, KEY_TYPE, KEY_UNIT, KEY_SCALE, KEY_MINIMUM, KEY_MAXIMUM, KEY_WRITABLE, KEY_INTERVAL };

void petiole_frame_value(petiole_sender *sender, uint8_t type, uint32_t bits, const void *text) {
  uint8_t item[PETIOLE_CBOR_MAX];
  petiole_frame_bytes(sender, item, (petiole_size)(petiole_cbor_value(item, type, bits) - item));
  if (text != NULL) petiole_frame_bytes(sender, (const uint8_t *)text, (petiole_size)bits);
}

static void put(petiole_sender *sender, uint8_t key, uint8_t type, uint32_t bits) {
  petiole_frame_u8(sender, key);
  petiole_frame_value(sender, type, bits, NULL);
}

static void put_text(petiole_sender *sender, uint8_t key, const char *text) {
  petiole_frame_u8(sender, key);
  petiole_frame_value(sender, PETIOLE_TEXT, petiole_length(text), text);
}

void petiole_describe_entity(petiole_sender *sender, const petiole_entity *entity) {
  uint8_t *head = sender->line + PETIOLE_PLAIN_AT + sender->length;
  uint8_t keys = 0xa2;
  /* As bits, so that no library for floating point is needed. */
  uint32_t scale;
  memcpy(&scale, &entity->scale, 4);
  petiole_frame_u8(sender, keys);
  put_text(sender, KEY_NAME, entity->name);
  put(sender, KEY_TYPE, PETIOLE_INTEGER, entity->type);
  if (entity->unit != NULL) {
    keys++;
    put_text(sender, KEY_UNIT, entity->unit);
  }
  if (scale != 0) {
    keys++;
    put(sender, KEY_SCALE, PETIOLE_FLOAT, scale);
  }
  if (entity->minimum != entity->maximum) {
    keys = (uint8_t)(keys + 2);
    put(sender, KEY_MINIMUM, PETIOLE_INTEGER, (uint32_t)entity->minimum);
    put(sender, KEY_MAXIMUM, PETIOLE_INTEGER, (uint32_t)entity->maximum);
  }
  if (entity->is_writable) {
    keys++;
    put(sender, KEY_WRITABLE, PETIOLE_BOOLEAN, 1);
  }
  if ((int32_t)entity->interval_ms > 0) {
    keys++;
    put(sender, KEY_INTERVAL, PETIOLE_INTEGER, entity->interval_ms);
  }
  if (!sender->is_full) *head = keys;
}

uint32_t petiole_description(petiole_sender *sender, const petiole_config *config) {
  petiole_check check = PETIOLE_CHECK_START;
  const petiole_entity *entity = config->entities;
  uint8_t count = config->entity_count;
  if (count == 0) return 0;
  for (; count > 0; count--) {
    sender->length = 0;
    petiole_describe_entity(sender, entity++);
    check = petiole_check_bytes(check, sender->line + PETIOLE_PLAIN_AT, sender->length);
  }
#if PETIOLE_CRC16
  /* Never 0, which is the description of nothing. */
  return check | 0x10000u;
#else
  return ~check;
#endif
}

void petiole_frame_hello(petiole_sender *sender, const petiole_config *config, uint8_t window, uint8_t features,
                         const petiole_words *words) {
  const uint32_t *word = (const uint32_t *)words;
  const char *const *text = &config->identity;
  uint8_t i;
  petiole_frame_begin(sender, HELLO);
  petiole_frame_u8(sender, 0x11);
  petiole_frame_u8(sender, config->reset_reason);
  petiole_frame_u16(sender, PETIOLE_FRAME_MAX);
  petiole_frame_u8(sender, window);
  petiole_frame_u8(sender, config->features | features);
  for (i = 7; i > 0; i--) petiole_frame_u32(sender, *word++);
  /* Identity, hardware, firmware, version. */
  for (i = 4; i > 0; i--) {
    petiole_frame_text(sender, *text++);
  }
  i = config->hash == NULL ? 0 : 32;
  petiole_frame_u8(sender, i);
  petiole_frame_bytes(sender, config->hash, i);
}
