/* What the board sends, and when. PROTOCOL.md sections 5 to 7. */
#include "petiole_internal.h"

#define HELLO_MAX (16 * SECOND)
#define RETRY_MAX (8 * SECOND)
#define ANSWER UNITS(500u)
#define TRIES_MAX 10
/* The longest for which petiole_poll lets a board sleep: what is told in milliseconds has 16 bits too. */
#define POLL_MAX 4095

static uint16_t doubled(uint16_t time, uint16_t max) { return time * 2u > max ? max : (uint16_t)(time * 2); }

static void end(petiole *board) {
  petiole_frame_end(&board->sender);
  board->sent_at = board->tick;
}

static uint8_t flush(petiole *board) {
  petiole_sender *sender = &board->sender;
  while (sender->at < sender->length) {
    uint16_t count = board->config->write(board->config->user, sender->line + sender->at,
                                          (uint16_t)(sender->length - sender->at));
    if (count == 0) return 0;
    sender->at = (petiole_size)(sender->at + count);
  }
  return 1;
}

uint8_t petiole_log(petiole *board, uint8_t level, const char *text) {
  petiole_sender *sender = &board->sender;
  if (board->state != OPEN || !flush(board)) return PETIOLE_BUSY;
  petiole_frame_begin(sender, LOG);
  petiole_frame_u8(sender, level);
  while (*text != 0) petiole_frame_u8(sender, (uint8_t)*text++);
  end(board);
  return PETIOLE_OK;
}

static void put_hello(petiole *board) {
  petiole_words *words = &board->words;
  uint8_t features = 0;
#if PETIOLE_WITH_MESSAGES
  features |= PETIOLE_TAKES_COMMANDS;
#endif
#if PETIOLE_WITH_FIRMWARE
  if (board->config->firmware_write != NULL) features |= PETIOLE_TAKES_FIRMWARE;
#endif
  /* One that no other HELLO had, as well as entropy can; not secret. */
  words->nonce = ((words->nonce ^ board->tick) << 5) + words->nonce + 1;
  petiole_frame_hello(&board->sender, board->config, PETIOLE_RING_FRAMES, features, words);
  board->timer_at = (uint16_t)(board->tick + board->hello);
  board->hello = doubled(board->hello, HELLO_MAX);
}

static void put_describe(petiole *board) {
  petiole_sender *sender = &board->sender;
  const petiole_config *config = board->config;
  uint8_t i = board->step;
  petiole_frame_begin(sender, DESCRIBE);
  petiole_frame_u8(sender, i);
  petiole_frame_u8(sender, config->entity_count);
  for (; i < config->entity_count; i++) {
    petiole_size length = sender->length;
    petiole_describe_entity(sender, &config->entities[i]);
    if (!sender->is_full) continue;
    /* The one that does not fit is for the next frame. */
    sender->length = length;
    break;
  }
}

/* What opens the conversation: again, until it is answered. */
static uint8_t put_opening(petiole *board) {
  if (!petiole_is_over(board, board->timer_at)) return 0;
  if (board->state == CLOSED) {
    put_hello(board);
    return 1;
  }
  if (board->tries++ == TRIES_MAX) {
    petiole_close(board);
    return 0;
  }
  board->timer_at = (uint16_t)(board->tick + ANSWER);
#if PETIOLE_WITH_MESSAGES
  if (board->state == SUBSCRIBING) {
    const char *subject = board->config->subscriptions[board->step];
    petiole_frame_begin(&board->sender, SUBSCRIBE);
    petiole_frame_u8(&board->sender, board->step);
    petiole_frame_u8(&board->sender, 1);
    petiole_frame_text(&board->sender, subject);
    return 1;
  }
#endif
  put_describe(board);
  return 1;
}

/* The age of a batch or the time that is left for a request, in place of the moment that the ring keeps. */
static void set_time(petiole *board, const petiole_entry *entry) {
  uint8_t *field = board->line + PETIOLE_PLAIN_AT + PETIOLE_HEADER_BYTES;
  uint32_t time;
  uint8_t is_known = (entry->marks & MARK_NO_AGE) == 0;
  if (entry->type == DATA) {
    time = is_known ? board->words.uptime - petiole_u32_at(field) : 0xffffffffu;
  } else if (entry->type == REQUEST) {
    field += 2;
    time = petiole_u32_at(field) - board->words.uptime;
    if (!is_known || (int32_t)time < 0) time = 0;
  } else {
    return;
  }
  petiole_put_u32(field, time);
}

static void put_entry(petiole *board, petiole_entry *entry, uint8_t index) {
  petiole_sender *sender = &board->sender;
  uint8_t flags = NUMBERED;
  if (entry->length > sender->limit - PETIOLE_HEADER_BYTES) {
    board->words.lost += entry->values;
    entry->type = SKIP;
    entry->values = PETIOLE_DROPPED;
  }
  if ((entry->marks & MARK_BEFORE) != 0) {
    flags = NUMBERED | REPEAT;
    board->repeated++;
  }
  petiole_frame_numbered(sender, entry->type, flags, (uint16_t)(board->words.oldest + index));
  if (entry->type == SKIP) {
    petiole_frame_u8(sender, entry->values);
  } else {
    petiole_ring_copy(board, index);
    set_time(board, entry);
  }
  entry->marks = (uint8_t)((entry->marks & MARK_NO_AGE) | MARK_SENT | MARK_BEFORE);
}

/* A batch that may still wait for more. */
static uint8_t is_waiting(const petiole *board, const petiole_entry *entry) {
  return (entry->marks & MARK_GROWS) != 0 && entry->length <= PETIOLE_PAYLOAD_MAX - VALUE_BYTES_MAX &&
         board->config->batch_ms > board->words.uptime - board->batch_ms;
}

/* The next numbered frame; 0 where there is none for now. */
static uint8_t put_numbered(petiole *board) {
  uint8_t i;
  if (!petiole_is_over(board, board->held_until)) return 0;
  board->held_until = board->tick;
  for (i = 0; i < board->count && i < board->window; i++) {
    petiole_entry *entry = petiole_ring_entry(board, i);
    if ((entry->marks & (MARK_SENT | MARK_AGAIN)) == MARK_SENT) {
      if (i > 0 || !petiole_is_over(board, board->retry_at)) continue;
      board->retry = doubled(board->retry, RETRY_MAX);
    } else if (is_waiting(board, entry)) {
      return 0;
    }
    if (i == 0) board->retry_at = (uint16_t)(board->tick + board->retry);
    put_entry(board, entry, i);
    return 1;
  }
  return 0;
}

static uint8_t put_ping(petiole *board) {
  petiole_sender *sender = &board->sender;
  if ((board->due & DUE_PING) == 0) {
    /* Silence that was announced is ours: the gateway is not gone because of it. */
    if (board->is_asleep) board->heard_at = board->retry_at = board->tick;
    if (board->is_asleep || !petiole_is_over(board, (uint16_t)(board->sent_at + board->keep_alive))) return 0;
  }
  board->due &= (uint8_t)~DUE_PING;
  petiole_frame_begin(sender, PING);
  petiole_frame_u32(sender, board->words.uptime);
  petiole_frame_u32(sender, board->words.lost);
  petiole_frame_u32(sender, board->silent_ms);
  board->is_asleep = board->silent_ms != 0;
  board->silent_ms = 0;
  return 1;
}

/* ACK or NAK of the last numbered frame that came. */
static void put_answer(petiole *board) {
  petiole_sender *sender = &board->sender;
  uint8_t code = board->nak_code;
  uint16_t wait = 0;
  uint16_t sequence = board->taken;
  if (code == PETIOLE_BUSY) {
    /* It is not taken yet. */
    sequence++;
    wait = AFTER_ASK_MS;
  }
  petiole_frame_begin(sender, code == PETIOLE_OK ? ACK : NAK);
  petiole_frame_u16(sender, sequence);
  if (code == PETIOLE_OK) return;
  petiole_frame_u8(sender, code);
  petiole_frame_u16(sender, wait);
}

/* Makes the next frame; 0 where nothing is due. */
static uint8_t put_next(petiole *board) {
  petiole_sender *sender = &board->sender;
  uint8_t due = board->due;
  /* The lowest bit is what comes first. */
  uint8_t first = (uint8_t)(due & (0u - due));
  if (board->state == CLOSED) return put_opening(board);
  if (first == 0 || first >= DUE_PING) {
    if (board->state != OPEN) return put_opening(board);
    return put_numbered(board) || put_ping(board);
  }
  board->due = (uint8_t)(due ^ first);
  switch (first) {
    case DUE_ANSWER:
      put_answer(board);
      break;
    case DUE_PONG:
      petiole_frame_begin(sender, PONG);
      petiole_frame_bytes(sender, board->pong, board->pong_length);
      break;
    case DUE_TIME:
      petiole_frame_begin(sender, TIME);
      break;
#if PETIOLE_WITH_FIRMWARE
    case DUE_STATE:
      petiole_image_state(board);
      break;
    default:
      petiole_image_boot(board);
      return 0;
#endif
  }
  return 1;
}

uint32_t petiole_poll(petiole *board) {
  uint16_t at;
  petiole_look_at_clock(board);
#if PETIOLE_WITH_FIRMWARE
  petiole_image_poll(board);
#endif
  for (;;) {
    if (!flush(board)) return 0;
    if (board->state != CLOSED && !board->is_asleep &&
        petiole_is_over(board, (uint16_t)(board->heard_at + 3 * board->keep_alive))) {
      petiole_close(board);
    }
    if (!put_next(board)) break;
    end(board);
  }
  at = board->timer_at;
  if (board->state == OPEN) at = (uint16_t)(board->sent_at + board->keep_alive);
  at = (uint16_t)(at - board->tick);
  if (board->is_asleep) at = board->keep_alive;
  if (at > POLL_MAX) at = (int16_t)at < 0 ? 1 : POLL_MAX;
  /* While frames wait for their receipt or a batch for company, there is always something to look at. */
  if (at == 0 || board->count > 0) at = 1;
  return (uint16_t)(at * UNIT_MS);
}
