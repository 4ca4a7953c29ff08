/* Messages, requests and commands. */
#include "petiole_internal.h"

#if PETIOLE_WITH_MESSAGES

#define REQUEST_HEAD_BYTES 6
#define REPLY_HEAD_BYTES 3

/* What is left behind `at`. */
static petiole_slice rest_at(const uint8_t *at, const uint8_t *end) {
  petiole_slice rest;
  rest.bytes = at;
  rest.length = (uint16_t)(end - at);
  return rest;
}

uint8_t petiole_take_message(petiole *board, const uint8_t *payload, const uint8_t *end) {
  const petiole_config *config = board->config;
  petiole_slice subject;
  const uint8_t *rest = petiole_slice_at(payload + 1, end, &subject);
  if (rest == NULL) return PETIOLE_MALFORMED;
  if (payload[0] >= config->subscription_count || config->message == NULL) return PETIOLE_UNSUPPORTED;
  return config->message(config->user, payload[0], subject, rest_at(rest, end));
}

/* What a command may not even try; else its own code. */
static uint8_t command(const petiole_config *config, const uint8_t *at, const uint8_t *end, petiole_value *value) {
  const petiole_entity *entity;
  uint8_t number;
  uint8_t code = petiole_cbor_read(&at, end, value);
  if (code != PETIOLE_OK) return code;
  if (value->type != PETIOLE_INTEGER) return PETIOLE_MALFORMED;
  if ((uint32_t)value->as.integer >= config->entity_count) return PETIOLE_UNKNOWN_ENTITY;
  number = (uint8_t)value->as.integer;
  code = petiole_cbor_read(&at, end, value);
  if (code != PETIOLE_OK) return code;
  entity = &config->entities[number];
  if (!entity->is_writable || config->command == NULL) return PETIOLE_NOT_PERMITTED;
  if (entity->type != value->type) return PETIOLE_BAD_VALUE;
  return config->command(config->user, number, value);
}

static uint8_t take_command(petiole *board, uint16_t id, const uint8_t *at, const uint8_t *end) {
  uint8_t item[PETIOLE_CBOR_MAX];
  petiole_value value;
  uint8_t length = 0;
  uint8_t code;
  code = command(board->config, at, end, &value);
  if (code == PETIOLE_OK && value.type != PETIOLE_TEXT && value.type != PETIOLE_BYTES) {
    length = (uint8_t)(petiole_cbor_value(item, value.type, petiole_cbor_bits(&value)) - item);
  }
  return petiole_reply(board, id, code, item, length);
}

uint8_t petiole_take_request(petiole *board, const uint8_t *payload, const uint8_t *end) {
  const petiole_config *config = board->config;
  petiole_slice subject;
  uint16_t id = petiole_u16_at(payload);
  const uint8_t *rest = petiole_slice_at(payload + REQUEST_HEAD_BYTES, end, &subject);
  if (rest == NULL) return PETIOLE_MALFORMED;
  /* Before it is done: what can't be answered must not be done twice. */
  if (!petiole_may_reply(board, PETIOLE_REPLY_BYTES - REPLY_HEAD_BYTES)) return PETIOLE_BUSY;
  if (subject.length == 0) return take_command(board, id, rest, end);
  if (config->request == NULL) return petiole_reply(board, id, PETIOLE_UNSUPPORTED, NULL, 0);
  return config->request(config->user, id, subject, rest_at(rest, end), petiole_u32_at(payload + 2));
}

uint8_t petiole_take_reply(petiole *board, const uint8_t *payload, const uint8_t *end) {
  const petiole_config *config = board->config;
  const uint8_t *rest = payload + REPLY_HEAD_BYTES;
  if (rest > end) return PETIOLE_MALFORMED;
  if (config->reply != NULL) config->reply(config->user, petiole_u16_at(payload), payload[2], rest_at(rest, end));
  return PETIOLE_OK;
}

uint8_t petiole_request(petiole *board, const char *subject, const void *payload, uint16_t length, uint32_t time_ms,
                        uint16_t *id) {
  uint8_t head[REQUEST_HEAD_BYTES];
  uint16_t next = (uint16_t)(board->request_id + 1);
  uint8_t code;
  head[0] = (uint8_t)next;
  head[1] = (uint8_t)(next >> 8);
  petiole_put_u32(head + 2, petiole_look_at_clock(board) + time_ms);
  code = petiole_ring_put(board, REQUEST, head, sizeof head, subject, payload, length);
  if (code == PETIOLE_OK) *id = board->request_id = next;
  return code;
}

uint8_t petiole_may_reply(const petiole *board, uint16_t length) {
  return petiole_ring_has_room(board, (uint16_t)(length + REPLY_HEAD_BYTES));
}

uint8_t petiole_reply(petiole *board, uint16_t id, uint8_t code, const void *payload, uint16_t length) {
  uint8_t head[REPLY_HEAD_BYTES];
  head[0] = (uint8_t)id;
  head[1] = (uint8_t)(id >> 8);
  head[2] = code;
  return petiole_ring_put(board, REPLY, head, sizeof head, NULL, payload, length);
}

#else
typedef int petiole_no_messages;
#endif
