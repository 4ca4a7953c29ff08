/* What the program calls: beginning, values, messages. PROTOCOL.md sections 4 to 6. */
#include "petiole_internal.h"

#define MAGIC 0x50746c32u
#define KEEP_ALIVE_S 10
#define VALUES_MAX 255

uint8_t petiole_is_over(const petiole *board, uint16_t at) { return (int16_t)(board->tick - at) >= 0; }

uint32_t petiole_look_at_clock(petiole *board) {
  uint32_t uptime = board->config->now(board->config->user) - board->started_ms;
  board->words.uptime = uptime;
  board->tick = (uint16_t)(uptime / UNIT_MS);
  return uptime;
}

void petiole_unsend(petiole *board, uint8_t mark) {
  uint8_t i;
  for (i = 0; i < PETIOLE_RING_FRAMES; i++) {
    uint8_t *marks = &board->entries[i].marks;
    *marks = (uint8_t)((*marks & ~(MARK_SENT | MARK_AGAIN)) | mark);
  }
}

void petiole_become(petiole *board, uint8_t state) {
  uint8_t was_open = board->state == OPEN;
  board->state = state;
  board->tries = 0;
  board->timer_at = board->tick;
  board->hello = SECOND;
  if (was_open == (state == OPEN) || board->config->link == NULL) return;
  board->config->link(board->config->user, state == OPEN);
}

void petiole_close(petiole *board) {
  uint16_t at = (uint16_t)(board->sent_at + UNITS(AFTER_ASK_MS));
  board->due = 0;
  petiole_frame_channel(&board->sender, 0, PETIOLE_FRAME_MAX);
  petiole_become(board, CLOSED);
  if (!petiole_is_over(board, at)) board->timer_at = at;
}

static void begin(petiole *board, const petiole_config *config) {
  /* Or the compiler makes it a call of memset. */
  volatile uint8_t *at;
  board->config = config;
  board->sender.line = board->line;
  board->sender.length = board->sender.at = 0;
  for (at = (uint8_t *)&board->started_ms; at < board->receiver.frame; at++) *at = 0;
  board->started_ms = petiole_look_at_clock(board);
  petiole_look_at_clock(board);
  board->state = CLOSED;
  board->is_asleep = 0;
  board->keep_alive = KEEP_ALIVE_S * SECOND;
  board->sent_at = (uint16_t)-SECOND;
  petiole_close(board);
  board->magic = MAGIC;
  board->words.nonce = config->entropy;
  board->words.boot_count = config->boot_count;
  board->words.lost = 0;
  board->words.description = petiole_description(&board->sender, config);
  board->sender.length = 0;
#if PETIOLE_WITH_FIRMWARE
  petiole_image_start(board);
#endif
}

PETIOLE_APART void petiole_start(petiole *board, const petiole_config *config) {
  board->words.session = 0;
  board->words.oldest = 1;
  board->first = board->count = 0;
  board->head = board->used = 0;
  begin(board, config);
}

uint8_t petiole_resume(petiole *board, const petiole_config *config) {
  if (board->magic != MAGIC || board->words.session == 0 || !petiole_ring_is_sound(board)) {
    petiole_start(board, config);
    return 0;
  }
  begin(board, config);
  petiole_unsend(board, MARK_NO_AGE);
  return 1;
}

uint8_t petiole_is_open(const petiole *board) { return board->state == OPEN; }

uint8_t petiole_waiting(const petiole *board) { return board->count; }

uint32_t petiole_number(const petiole *board) { return board->words.oldest + board->count - 1; }

static uint8_t put(petiole *board, uint8_t number, uint8_t type, uint32_t bits, const void *text) {
  uint8_t item[BATCH_HEAD_BYTES + VALUE_BYTES_MAX];
  uint8_t *at = item;
  uint32_t now = petiole_look_at_clock(board);
  petiole_size text_length = text == NULL ? 0 : (petiole_size)bits;
  uint16_t length = (uint16_t)(VALUE_BYTES_MAX + text_length);
  petiole_entry *entry = petiole_ring_newest(board);
  if (number >= board->config->entity_count) return PETIOLE_UNKNOWN_ENTITY;
  if (text != NULL && bits > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  if (board->count > 0 && (entry->marks & MARK_GROWS) != 0 && entry->values < VALUES_MAX &&
      (uint16_t)(length + entry->length) <= (uint16_t)(board->sender.limit - PETIOLE_HEADER_BYTES) &&
      petiole_ring_has_room(board, (uint16_t)(length + PETIOLE_REPLY_BYTES))) {
    entry->values++;
  } else {
    uint8_t code = petiole_ring_begin(board, DATA, (uint16_t)(BATCH_HEAD_BYTES + length));
    if (code != PETIOLE_OK) return code;
    petiole_ring_newest(board)->marks = MARK_GROWS;
    board->batch_ms = now;
    petiole_put_u32(at, now);
    at += BATCH_HEAD_BYTES;
  }
  at = petiole_cbor_head(at, MAJOR_UNSIGNED, number);
  at = petiole_cbor_value(at, type, bits);
  petiole_ring_add(board, item, (petiole_size)(at - item));
  petiole_ring_add(board, (const uint8_t *)text, text_length);
  at = petiole_cbor_head(item, MAJOR_UNSIGNED, now - board->batch_ms);
  petiole_ring_add(board, item, (petiole_size)(at - item));
  return PETIOLE_OK;
}

uint8_t petiole_put_value(petiole *board, uint8_t entity, const petiole_value *value) {
  uint8_t is_text = value->type == PETIOLE_TEXT || value->type == PETIOLE_BYTES;
  return put(board, entity, value->type, petiole_cbor_bits(value), is_text ? value->as.text.bytes : NULL);
}

uint8_t petiole_put_boolean(petiole *board, uint8_t entity, uint8_t boolean) {
  return put(board, entity, PETIOLE_BOOLEAN, boolean, NULL);
}

uint8_t petiole_put_integer(petiole *board, uint8_t entity, int32_t integer) {
  return put(board, entity, PETIOLE_INTEGER, (uint32_t)integer, NULL);
}

uint8_t petiole_put_float(petiole *board, uint8_t entity, float real) {
  uint32_t bits;
  memcpy(&bits, &real, 4);
  return put(board, entity, PETIOLE_FLOAT, bits, NULL);
}

uint8_t petiole_put_text(petiole *board, uint8_t entity, const char *text) {
  return put(board, entity, PETIOLE_TEXT, petiole_length(text), text);
}

uint8_t petiole_publish(petiole *board, const char *subject, const void *payload, uint16_t length) {
  return petiole_ring_put(board, PUBLISH, NULL, 0, subject, payload, length);
}

uint8_t petiole_drop_oldest(petiole *board) {
  petiole_entry *entry = petiole_ring_entry(board, 0);
  if (board->count == 0) return PETIOLE_BUSY;
  if (entry->type != SKIP) board->words.lost += entry->values;
  petiole_ring_pop(board);
  /* HELLO tells the gateway where the numbers go on. */
  if (board->state != CLOSED) petiole_close(board);
  return PETIOLE_OK;
}

void petiole_ask_time(petiole *board) { board->due |= DUE_TIME; }

void petiole_sleep(petiole *board, uint32_t ms) {
  board->silent_ms = ms;
  board->due |= DUE_PING;
}
