/* Messages, requests and commands. */
#include "petiole_internal.h"

#if PETIOLE_WITH_MESSAGES

#define REQUEST_HEAD_BYTES 6
#define REPLY_HEAD_BYTES 3
/* Of the answer to a command whose value is no text. */
#define COMMAND_REPLY_BYTES (REPLY_HEAD_BYTES + PETIOLE_CBOR_MAX)

/* A length and so many bytes, and then the rest; 0 where they do not fit. */
static uint8_t split(const uint8_t *bytes, uint16_t length, petiole_slice *text, petiole_slice *rest) {
  if (length < 1 || bytes[0] > length - 1) return 0;
  text->bytes = bytes + 1;
  text->length = bytes[0];
  rest->bytes = text->bytes + text->length;
  rest->length = (uint16_t)(length - 1 - text->length);
  return 1;
}

uint8_t petiole_take_message(petiole *board, const uint8_t *payload, uint16_t length) {
  petiole_slice subject, rest;
  if (length < 2 || !split(payload + 1, (uint16_t)(length - 1), &subject, &rest)) return PETIOLE_MALFORMED;
  if (payload[0] >= board->config->subscription_count || board->config->message == NULL) return PETIOLE_UNSUPPORTED;
  return board->config->message(board->config->user, payload[0], subject, rest);
}

/* What a command may not even try. */
static uint8_t command_code(const petiole_config *config, const petiole_value *entity, const petiole_value *value) {
  const petiole_entity *known;
  if (entity->type != PETIOLE_INTEGER) return PETIOLE_MALFORMED;
  if (entity->as.integer < 0 || entity->as.integer >= config->entity_count) return PETIOLE_UNKNOWN_ENTITY;
  known = &config->entities[entity->as.integer];
  if (!known->is_writable || config->command == NULL) return PETIOLE_NOT_PERMITTED;
  return known->type == value->type ? PETIOLE_OK : PETIOLE_BAD_VALUE;
}

static uint8_t take_command(petiole *board, uint16_t id, petiole_slice payload) {
  const uint8_t *at = payload.bytes;
  const uint8_t *end = payload.bytes + payload.length;
  uint8_t item[PETIOLE_CBOR_MAX];
  petiole_value entity, value;
  uint8_t code;
  /* Before it is done: what can't be answered must not be done twice. */
  if (!petiole_has_room(board, COMMAND_REPLY_BYTES)) return PETIOLE_BUSY;
  code = petiole_cbor_read(&at, end, &entity);
  if (code == PETIOLE_OK) code = petiole_cbor_read(&at, end, &value);
  if (code == PETIOLE_OK) code = command_code(board->config, &entity, &value);
  if (code == PETIOLE_OK) code = board->config->command(board->config->user, (uint8_t)entity.as.integer, &value);
  if (code == PETIOLE_OK && value.type != PETIOLE_TEXT && value.type != PETIOLE_BYTES) {
    return petiole_reply(board, id, code, item, petiole_cbor_value(item, &value));
  }
  return petiole_reply(board, id, code, NULL, 0);
}

uint8_t petiole_take_request(petiole *board, const uint8_t *payload, uint16_t length) {
  petiole_slice subject, rest;
  uint16_t id;
  if (length < REQUEST_HEAD_BYTES + 1) return PETIOLE_MALFORMED;
  if (!split(payload + REQUEST_HEAD_BYTES, (uint16_t)(length - REQUEST_HEAD_BYTES), &subject, &rest)) {
    return PETIOLE_MALFORMED;
  }
  id = petiole_u16_at(payload);
  if (subject.length == 0) return take_command(board, id, rest);
  if (board->config->request == NULL) return petiole_reply(board, id, PETIOLE_UNSUPPORTED, NULL, 0);
  return board->config->request(board->config->user, id, subject, rest, petiole_u32_at(payload + 2));
}

uint8_t petiole_take_reply(petiole *board, const uint8_t *payload, uint16_t length) {
  petiole_slice rest;
  if (length < REPLY_HEAD_BYTES) return PETIOLE_MALFORMED;
  rest.bytes = payload + REPLY_HEAD_BYTES;
  rest.length = (uint16_t)(length - REPLY_HEAD_BYTES);
  if (board->config->reply != NULL) board->config->reply(board->config->user, petiole_u16_at(payload), payload[2], rest);
  return PETIOLE_OK;
}

uint8_t petiole_request(petiole *board, const char *subject, const void *payload, uint16_t length, uint32_t time_ms,
                        uint16_t *id) {
  uint8_t head[REQUEST_HEAD_BYTES + 1];
  uint16_t name = petiole_length(subject);
  uint8_t code;
  if (name > 128 || length > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  code = petiole_keep(board, REQUEST, (uint16_t)(REQUEST_HEAD_BYTES + 1 + name + length));
  if (code != PETIOLE_OK) return code;
  *id = ++board->request_id;
  head[0] = (uint8_t)*id;
  head[1] = (uint8_t)(*id >> 8);
  petiole_put_u32(head + 2, petiole_now(board) + time_ms);
  head[REQUEST_HEAD_BYTES] = (uint8_t)name;
  petiole_ring_add(&board->ring, head, REQUEST_HEAD_BYTES + 1);
  petiole_ring_add(&board->ring, (const uint8_t *)subject, name);
  petiole_ring_add(&board->ring, (const uint8_t *)payload, length);
  return PETIOLE_OK;
}

uint8_t petiole_reply(petiole *board, uint16_t id, uint8_t code, const void *payload, uint16_t length) {
  uint8_t head[REPLY_HEAD_BYTES];
  uint8_t kept;
  if (length > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  kept = petiole_keep(board, REPLY, (uint16_t)(REPLY_HEAD_BYTES + length));
  if (kept != PETIOLE_OK) return kept;
  head[0] = (uint8_t)id;
  head[1] = (uint8_t)(id >> 8);
  head[2] = code;
  petiole_ring_add(&board->ring, head, REPLY_HEAD_BYTES);
  petiole_ring_add(&board->ring, (const uint8_t *)payload, length);
  return PETIOLE_OK;
}

#else
typedef int petiole_no_messages;
#endif
