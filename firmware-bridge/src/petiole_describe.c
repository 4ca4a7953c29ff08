/* What a board says of itself: HELLO and the maps of DESCRIBE. */
#include "petiole_internal.h"

enum { KEY_NAME = 0, KEY_TYPE, KEY_UNIT, KEY_SCALE, KEY_MINIMUM, KEY_MAXIMUM, KEY_WRITABLE, KEY_INTERVAL };

static void item(petiole_sender *sender, uint8_t key, uint8_t major, uint32_t argument) {
  uint8_t head[PETIOLE_CBOR_MAX];
  petiole_frame_u8(sender, key);
  petiole_frame_bytes(sender, head, petiole_cbor_head(head, major, argument));
}

static void item_text(petiole_sender *sender, uint8_t key, const char *text) {
  uint16_t length = petiole_length(text);
  item(sender, key, MAJOR_TEXT, length);
  petiole_frame_bytes(sender, (const uint8_t *)text, length);
}

static void item_integer(petiole_sender *sender, uint8_t key, int32_t integer) {
  if (integer < 0) item(sender, key, MAJOR_NEGATIVE, ~(uint32_t)integer);
  else item(sender, key, MAJOR_UNSIGNED, (uint32_t)integer);
}

void petiole_describe_entity(petiole_sender *sender, const petiole_entity *entity) {
  uint16_t head_at = PETIOLE_PLAIN_AT;
  uint8_t scale[4];
  uint8_t keys = 0xa2;
  uint8_t i;
  head_at = (uint16_t)(head_at + sender->length);
  petiole_frame_u8(sender, keys);
  item_text(sender, KEY_NAME, entity->name);
  item_integer(sender, KEY_TYPE, entity->type);
  if (entity->unit != NULL) {
    keys++;
    item_text(sender, KEY_UNIT, entity->unit);
  }
  /* As bits, so that no library for floating point is needed; in the order of the network. */
  memcpy(scale, &entity->scale, 4);
  if ((scale[0] | scale[1] | scale[2] | scale[3]) != 0) {
    keys++;
    petiole_frame_u8(sender, KEY_SCALE);
    petiole_frame_u8(sender, 0xfa);
    for (i = 4; i > 0; i--) petiole_frame_u8(sender, scale[i - 1]);
  }
  if (entity->minimum != entity->maximum) {
    keys = (uint8_t)(keys + 2);
    item_integer(sender, KEY_MINIMUM, entity->minimum);
    item_integer(sender, KEY_MAXIMUM, entity->maximum);
  }
  if (entity->is_writable) {
    keys++;
    petiole_frame_u8(sender, KEY_WRITABLE);
    petiole_frame_u8(sender, 0xf5);
  }
  if (entity->interval_ms != 0) {
    keys++;
    item(sender, KEY_INTERVAL, MAJOR_UNSIGNED, entity->interval_ms);
  }
  if (!sender->is_full) sender->line[head_at] = keys;
}

uint32_t petiole_description(petiole_sender *sender, const petiole_entity *entities, uint8_t count) {
  petiole_check check = PETIOLE_CHECK_START;
  if (count == 0) return 0;
  sender->limit = PETIOLE_FRAME_MAX;
  for (; count > 0; count--) {
    sender->length = 0;
    petiole_describe_entity(sender, entities++);
    check = petiole_check_bytes(check, sender->line + PETIOLE_PLAIN_AT, sender->length);
  }
  sender->length = 0;
#if PETIOLE_CRC16
  /* Never 0, which is the description of nothing. */
  return check | 0x10000u;
#else
  return check ^ PETIOLE_CHECK_END;
#endif
}

void petiole_frame_hello(petiole_sender *sender, const petiole_config *config, uint32_t uptime, uint32_t lost,
                         uint32_t description) {
  petiole_frame_u32(sender, config->boot_count);
  petiole_frame_u32(sender, uptime);
  petiole_frame_u32(sender, lost);
  petiole_frame_u32(sender, description);
  petiole_frame_text(sender, config->identity);
  petiole_frame_text(sender, config->hardware);
  petiole_frame_text(sender, config->firmware);
  petiole_frame_text(sender, config->version);
  if (config->hash == NULL) {
    petiole_frame_u8(sender, 0);
  } else {
    petiole_frame_u8(sender, 32);
    petiole_frame_bytes(sender, config->hash, 32);
  }
}
