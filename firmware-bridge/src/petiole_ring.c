/* The retry ring: what waits for its receipt. */
#include "petiole_internal.h"

static uint16_t wrapped(uint16_t at) { return at >= PETIOLE_RING_BYTES ? (uint16_t)(at - PETIOLE_RING_BYTES) : at; }

PETIOLE_APART petiole_entry *petiole_ring_entry(petiole *board, uint8_t index) {
  return &board->entries[(uint8_t)(board->first + index) % PETIOLE_RING_FRAMES];
}

petiole_entry *petiole_ring_newest(petiole *board) { return petiole_ring_entry(board, (uint8_t)(board->count - 1)); }

uint8_t petiole_ring_is_sound(const petiole *board) {
  uint16_t used = 0;
  uint8_t i;
  if (board->first >= PETIOLE_RING_FRAMES || board->count > PETIOLE_RING_FRAMES) return 0;
  if (board->head >= PETIOLE_RING_BYTES || board->used > PETIOLE_RING_BYTES) return 0;
  for (i = 0; i < board->count; i++) {
    const petiole_entry *entry = petiole_ring_entry((petiole *)(uintptr_t)board, i);
    if (entry->length > board->used - used) return 0;
    used = (uint16_t)(used + entry->length);
  }
  return used == board->used;
}

uint8_t petiole_ring_has_room(const petiole *board, uint16_t length) {
  return board->count < PETIOLE_RING_FRAMES && length <= PETIOLE_RING_BYTES - board->used;
}

uint8_t petiole_ring_begin(petiole *board, uint8_t type, uint16_t length) {
  petiole_entry *entry;
  uint8_t is_reply = type == REPLY;
  if (length > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  if (!is_reply) length = (uint16_t)(length + PETIOLE_REPLY_BYTES);
  if (!petiole_ring_has_room(board, length) || (!is_reply && board->count == PETIOLE_RING_FRAMES - 1)) {
    /* Who replies can do so later, and the gateway sees where nobody does. */
    if (!is_reply) board->words.lost++;
    return PETIOLE_BUSY;
  }
  board->count++;
  board->is_asleep = 0;
  entry = petiole_ring_newest(board);
  entry->length = 0;
  entry->type = type;
  entry->marks = 0;
  entry->values = 1;
  return PETIOLE_OK;
}

void petiole_ring_add(petiole *board, const uint8_t *bytes, petiole_size length) {
  petiole_entry *entry = petiole_ring_newest(board);
  uint16_t at = (uint16_t)(board->head + board->used);
  entry->length = (petiole_size)(entry->length + length);
  board->used = (uint16_t)(board->used + length);
  while (length-- > 0) {
    at = wrapped(at);
    board->bytes[at++] = *bytes++;
  }
}

uint8_t petiole_ring_put(petiole *board, uint8_t type, const uint8_t *head, uint8_t head_length, const char *subject,
                         const void *payload, uint16_t length) {
  uint16_t name = petiole_length(subject);
  uint8_t count = (uint8_t)name;
  uint8_t code;
  if (name > 128 || length > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  code = petiole_ring_begin(board, type, (uint16_t)(head_length + (subject != NULL ? 1u : 0u) + name + length));
  if (code != PETIOLE_OK) return code;
  petiole_ring_add(board, head, head_length);
  if (subject != NULL) petiole_ring_add(board, &count, 1);
  petiole_ring_add(board, (const uint8_t *)subject, (petiole_size)name);
  petiole_ring_add(board, (const uint8_t *)payload, (petiole_size)length);
  return PETIOLE_OK;
}

void petiole_ring_pop(petiole *board) {
  uint16_t length = petiole_ring_entry(board, 0)->length;
  board->head = wrapped((uint16_t)(board->head + length));
  board->used = (uint16_t)(board->used - length);
  board->first = (uint8_t)((board->first + 1) % PETIOLE_RING_FRAMES);
  board->count--;
  board->words.oldest++;
}

void petiole_ring_copy(petiole *board, uint8_t index) {
  uint16_t at = board->head;
  petiole_size length = petiole_ring_entry(board, index)->length;
  while (index > 0) at = (uint16_t)(at + petiole_ring_entry(board, --index)->length);
  /* No more than the ring holds: so it wraps once. */
  while (length-- > 0) {
    at = wrapped(at);
    petiole_frame_u8(&board->sender, board->bytes[at++]);
  }
}
