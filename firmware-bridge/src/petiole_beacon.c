/* The board that only speaks: frames without number on channel 0. */
#include "../include/petiole_beacon.h"

#include "petiole_internal.h"

static void begin(petiole_beacon *beacon, uint8_t type) {
  petiole_frame_begin(&beacon->sender, type, 0, beacon->sender.counter++, 0, PETIOLE_FRAME_MAX);
}

static void end(petiole_beacon *beacon) {
  petiole_sender *sender = &beacon->sender;
  petiole_frame_end(sender);
  for (; sender->at < sender->length; sender->at++) beacon->send(beacon->config->user, sender->line[sender->at]);
  beacon->is_filling = 0;
}

void petiole_beacon_start(petiole_beacon *beacon, const petiole_config *config, void (*send)(void *user, uint8_t byte)) {
  beacon->config = config;
  beacon->send = send;
  beacon->sender.counter = 0;
  beacon->is_filling = 0;
  petiole_beacon_hello(beacon);
}

void petiole_beacon_hello(petiole_beacon *beacon) {
  petiole_sender *sender = &beacon->sender;
  const petiole_config *config = beacon->config;
  uint32_t description;
  uint8_t i;
  petiole_beacon_send(beacon);
  description = petiole_description(sender, config->entities, config->entity_count);
  begin(beacon, HELLO);
  petiole_frame_u8(sender, 0x11);
  petiole_frame_u8(sender, config->reset_reason);
  petiole_frame_u16(sender, PETIOLE_FRAME_MAX);
  petiole_frame_u8(sender, 0);
  petiole_frame_u8(sender, config->features | PETIOLE_ONE_WAY);
  petiole_frame_u32(sender, config->entropy);
  petiole_frame_u32(sender, 0);
  petiole_frame_u32(sender, 1);
  petiole_frame_hello(sender, config, config->now(config->user), 0, description);
  end(beacon);
  for (i = 0; i < config->entity_count; i++) {
    begin(beacon, DESCRIBE);
    petiole_frame_u8(sender, i);
    petiole_frame_u8(sender, config->entity_count);
    petiole_describe_entity(sender, &config->entities[i]);
    end(beacon);
  }
}

uint8_t petiole_beacon_put(petiole_beacon *beacon, uint8_t entity, const petiole_value *value) {
  petiole_sender *sender = &beacon->sender;
  uint8_t item[PETIOLE_CBOR_MAX];
  uint16_t length;
  if (!beacon->is_filling) {
    begin(beacon, DATA);
    petiole_frame_u32(sender, 0);
    beacon->is_filling = 1;
  }
  length = sender->length;
  petiole_frame_bytes(sender, item, petiole_cbor_head(item, MAJOR_UNSIGNED, entity));
  petiole_frame_bytes(sender, item, petiole_cbor_value(item, value));
  if (value->type == PETIOLE_TEXT || value->type == PETIOLE_BYTES) {
    petiole_frame_bytes(sender, value->as.text.bytes, value->as.text.length);
  }
  petiole_frame_u8(sender, 0);
  if (!sender->is_full) return PETIOLE_OK;
  sender->length = length;
  sender->is_full = 0;
  return PETIOLE_TOO_LARGE;
}

uint8_t petiole_beacon_integer(petiole_beacon *beacon, uint8_t entity, int32_t integer) {
  petiole_value value;
  value.type = PETIOLE_INTEGER;
  value.as.integer = integer;
  return petiole_beacon_put(beacon, entity, &value);
}

void petiole_beacon_send(petiole_beacon *beacon) {
  if (beacon->is_filling) end(beacon);
}
