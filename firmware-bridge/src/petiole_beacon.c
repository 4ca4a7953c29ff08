/* The board that only speaks: frames without number on channel 0. */
#include "../include/petiole_beacon.h"

#include "petiole_internal.h"

static void end(petiole_beacon *beacon) {
  petiole_sender *sender = &beacon->sender;
  petiole_frame_end(sender);
  for (; sender->at < sender->length; sender->at++) beacon->send(beacon->config->user, sender->line[sender->at]);
  beacon->is_filling = 0;
}

void petiole_beacon_start(petiole_beacon *beacon, const petiole_config *config, void (*send)(void *user, uint8_t byte)) {
  beacon->config = config;
  beacon->send = send;
  beacon->sender.line = beacon->line;
  beacon->sender.counter = 0;
  beacon->is_filling = 0;
  petiole_frame_channel(&beacon->sender, 0, PETIOLE_FRAME_MAX);
  petiole_beacon_hello(beacon);
}

void petiole_beacon_hello(petiole_beacon *beacon) {
  petiole_sender *sender = &beacon->sender;
  const petiole_config *config = beacon->config;
  petiole_words words;
  uint8_t i;
  petiole_beacon_send(beacon);
  words.nonce = config->entropy;
  words.session = 0;
  words.oldest = 1;
  words.boot_count = config->boot_count;
  words.uptime = config->now(config->user);
  words.lost = 0;
  words.description = petiole_description(sender, config);
  petiole_frame_hello(sender, config, 0, PETIOLE_ONE_WAY, &words);
  end(beacon);
  for (i = 0; i < config->entity_count; i++) {
    petiole_frame_begin(sender, DESCRIBE);
    petiole_frame_u8(sender, i);
    petiole_frame_u8(sender, config->entity_count);
    petiole_describe_entity(sender, &config->entities[i]);
    end(beacon);
  }
}

uint8_t petiole_beacon_put(petiole_beacon *beacon, uint8_t entity, const petiole_value *value) {
  petiole_sender *sender = &beacon->sender;
  uint8_t is_text = value->type == PETIOLE_TEXT || value->type == PETIOLE_BYTES;
  petiole_size length;
  if (!beacon->is_filling) {
    petiole_frame_begin(sender, DATA);
    petiole_frame_u32(sender, 0);
    beacon->is_filling = 1;
  }
  length = sender->length;
  petiole_frame_value(sender, PETIOLE_INTEGER, entity, NULL);
  petiole_frame_value(sender, value->type, petiole_cbor_bits(value), is_text ? value->as.text.bytes : NULL);
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
