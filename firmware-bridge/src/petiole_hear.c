/* What the board hears. PROTOCOL.md sections 5 to 7. */
#include "petiole_internal.h"

/* Three times this must be less than half of the time in which units go round. */
#define KEEP_ALIVE_S_MAX 120
/* Up to half of the time in which units go round. */
#define REFUSED_S_MAX 500

/* To the next state of opening that has something to do. */
static void go_on(petiole *board) {
  uint8_t state = board->state;
  if (state == DESCRIBING && board->step >= board->config->entity_count) {
    board->step = 0;
    state = SUBSCRIBING;
  }
#if PETIOLE_WITH_MESSAGES
  if (state == SUBSCRIBING && board->step >= board->config->subscription_count) state = OPEN;
#else
  if (state == SUBSCRIBING) state = OPEN;
#endif
  if (state == OPEN) {
    board->retry = SECOND;
    board->held_until = board->tick;
    petiole_unsend(board, 0);
  }
  petiole_become(board, state);
}

/* Whether it is an answer to the last HELLO. */
static PETIOLE_APART uint8_t is_answer(const petiole *board, const uint8_t *nonce) {
  return board->state == CLOSED && petiole_u32_at(nonce) == board->words.nonce;
}

static PETIOLE_APART void hear_hello(petiole *board, const uint8_t *payload, petiole_size length) {
  uint16_t number = petiole_u16_at(payload + 2);
  uint8_t kind;
  if (length == 0) return;
  kind = payload[0];
  if (kind == 0) petiole_close(board);
  if (kind == 2 && length >= 8 && is_answer(board, payload + 4)) {
    if (number > REFUSED_S_MAX) number = REFUSED_S_MAX;
    board->timer_at = (uint16_t)(board->tick + (number + 1) * SECOND);
  }
  if (kind != 1 || length < 16 || !is_answer(board, payload + 8)) return;
  if (number < FRAME_MAX_LEAST || payload[4] == 0 || payload[5] == 0) return;
  petiole_frame_channel(&board->sender, payload[5], number);
  board->window = payload[4];
  board->keep_alive = (uint16_t)((payload[7] > KEEP_ALIVE_S_MAX ? KEEP_ALIVE_S_MAX : payload[7]) * SECOND);
  board->words.session = petiole_u32_at(payload + 12);
  board->taken = 0;
  board->heard_at = board->tick;
  board->state = DESCRIBING;
  board->step = (payload[6] & 1) != 0 ? 0 : board->config->entity_count;
  go_on(board);
}

static void tell_receipt(petiole *board, uint32_t number, uint8_t code) {
  if (board->config->receipt != NULL) board->config->receipt(board->config->user, number, code);
}

static PETIOLE_APART void hear_ack(petiole *board, uint16_t sequence) {
  uint16_t left = (uint16_t)(sequence - (uint16_t)board->words.oldest + 1);
  if (left == 0 || left > board->count) return;
  for (; left > 0; left--) {
    petiole_entry *entry = petiole_ring_entry(board, 0);
    if ((entry->marks & MARK_BEFORE) == 0) break;
    /* What it held stays in place until the program is told. */
    petiole_ring_pop(board);
    if (entry->type != SKIP) tell_receipt(board, board->words.oldest - 1, PETIOLE_OK);
  }
  board->retry = SECOND;
  board->retry_at = (uint16_t)(board->tick + SECOND);
}

static PETIOLE_APART void hear_nak(petiole *board, const uint8_t *payload) {
  uint16_t index = (uint16_t)(petiole_u16_at(payload) - (uint16_t)board->words.oldest);
  uint8_t code = payload[2];
  petiole_entry *entry = petiole_ring_entry(board, (uint8_t)index);
  if (index >= board->count || (entry->marks & MARK_SENT) == 0) return;
  entry->marks |= MARK_AGAIN;
  if (code == PETIOLE_BUSY) {
    board->held_until = (uint16_t)(board->tick + petiole_u16_at(payload + 3) / UNIT_MS + 1);
  } else if (code != PETIOLE_MISSING && entry->type != SKIP) {
    entry->type = SKIP;
    entry->values = code;
    tell_receipt(board, board->words.oldest + index, code);
  }
}

static PETIOLE_APART uint8_t take(petiole *board, uint8_t type, const uint8_t *payload, petiole_size length) {
#if PETIOLE_WITH_MESSAGES
  const uint8_t *end = payload + length;
  if (type == MESSAGE) return petiole_take_message(board, payload, end);
  if (type == REQUEST) return petiole_take_request(board, payload, end);
  if (type == REPLY) return petiole_take_reply(board, payload, end);
#else
  (void)board;
  (void)type;
  (void)payload;
  (void)length;
#endif
  return PETIOLE_UNKNOWN_TYPE;
}

static PETIOLE_APART void hear_numbered(petiole *board, const uint8_t *frame, petiole_size length) {
  uint16_t sequence = petiole_u16_at(frame + 3);
  uint16_t ahead = (uint16_t)(sequence - board->taken);
  if (ahead > 1) return;
  if (ahead == 1) {
    uint8_t code = PETIOLE_UNKNOWN_FLAGS;
    if ((frame[2] & ~(NUMBERED | REPEAT)) == 0) code = take(board, frame[1], frame + PETIOLE_HEADER_BYTES, length);
    if (code != PETIOLE_BUSY) board->taken = sequence;
    board->nak_code = code;
  }
  /* What comes again has the same answer: a refusal whose NAK was lost must not become a receipt. */
  board->due |= DUE_ANSWER;
}

static PETIOLE_APART void hear(petiole *board, const uint8_t *frame, petiole_size length) {
  const uint8_t *payload = frame + PETIOLE_HEADER_BYTES;
  uint8_t type = frame[1];
  uint8_t flags = frame[2];
  if (type == HELLO && frame[5] == 0 && flags == 0) {
    hear_hello(board, payload, length);
    return;
  }
  if (board->state == CLOSED || frame[5] != board->sender.channel) {
    board->discarded++;
    return;
  }
  board->heard_at = board->tick;
  if ((flags & NUMBERED) != 0) {
    hear_numbered(board, frame, length);
    return;
  }
  if (flags != 0) {
    board->discarded++;
    return;
  }
  switch (type) {
    case ACK:
      if (length >= 2) hear_ack(board, petiole_u16_at(payload));
      break;
    case NAK:
      if (length >= 3) hear_nak(board, payload);
      break;
    case DESCRIBE:
      if (length < 2 || board->state != DESCRIBING || payload[0] <= board->step) break;
      board->step = payload[0];
      go_on(board);
      break;
    case SUBSCRIBE:
      if (length < 2 || board->state != SUBSCRIBING || payload[0] != board->step) break;
      board->step++;
      go_on(board);
      break;
    case PING:
      board->pong_length = (uint8_t)(length > sizeof board->pong ? sizeof board->pong : length);
      petiole_copy(board->pong, payload, sizeof board->pong);
      board->due |= DUE_PONG;
      break;
    case TIME:
      if (length >= 9 && board->config->time != NULL) board->config->time(board->config->user, payload);
      break;
#if PETIOLE_WITH_FIRMWARE
    case FIRMWARE:
      if (length >= 1) petiole_image_take(board, payload, length);
      break;
#endif
  }
}

void petiole_receive(petiole *board, const uint8_t *bytes, size_t length) {
  petiole_receiver *receiver = &board->receiver;
  petiole_look_at_clock(board);
  for (; length > 0; length--) {
    uint8_t result = petiole_frame_byte(receiver, *bytes++);
    if (result == FRAME_BAD) board->bad_frames++;
    if (result != FRAME_SOUND) continue;
    hear(board, receiver->frame, (petiole_size)(receiver->length - PETIOLE_HEADER_BYTES - PETIOLE_CHECK_BYTES));
  }
}
