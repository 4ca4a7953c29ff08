/*
 * The conversation: opening it, numbered frames until their receipt, keeping alive. PROTOCOL.md sections 5 to 7.
 */
#include "petiole_internal.h"

#define MAGIC 0x50746c31u

/* Of time without milliseconds: so that it has 16 bits, and goes round in 17 minutes. */
#define UNIT_MS 16u
#define UNITS(ms) ((uint16_t)(((ms) + UNIT_MS - 1) / UNIT_MS))
#define SECOND 62u

#define HELLO_MAX (16 * SECOND)
#define AFTER_ASK_MS 200u
#define ANSWER UNITS(500u)
#define TRIES_MAX 10
#define RETRY_MAX (8 * SECOND)
#define KEEP_ALIVE_S 10
/* Three times this must be less than half of the time in which units go round. */
#define KEEP_ALIVE_S_MAX 120
#define FRAME_MAX_LEAST 64
#define VALUES_MAX 255
#define BATCH_HEAD_BYTES 4
/* Entity, value without the bytes of a text, offset. */
#define VALUE_BYTES_MAX (2 + PETIOLE_CBOR_MAX + PETIOLE_CBOR_MAX)

uint32_t petiole_now(const petiole *board) { return board->config->now(board->config->user); }

static uint8_t is_over(const petiole *board, uint16_t at) { return (int16_t)(board->tick - at) >= 0; }

static void look_at_clock(petiole *board) { board->tick = (uint16_t)(petiole_now(board) / UNIT_MS); }

static uint16_t doubled(uint16_t time, uint16_t max) { return time * 2u > max ? max : (uint16_t)(time * 2); }

/* Who may speak */

/* Nothing is sent in this conversation yet. */
static void unsend(petiole *board, uint8_t mark) {
  uint8_t i;
  for (i = 0; i < PETIOLE_RING_FRAMES; i++) {
    uint8_t *marks = &board->ring.entries[i].marks;
    *marks = (uint8_t)((*marks & ~(MARK_SENT | MARK_AGAIN)) | mark);
  }
}

static void become(petiole *board, uint8_t state) {
  uint8_t was_open = board->state == OPEN;
  board->state = state;
  board->tries = 0;
  board->timer_at = board->tick;
  board->hello = SECOND;
  if (was_open == (state == OPEN) || board->config->link == NULL) return;
  board->config->link(board->config->user, state == OPEN);
}

static void close_after(petiole *board, uint16_t units) {
  board->due = 0;
  become(board, CLOSED);
  board->timer_at = (uint16_t)(board->sent_at + units);
  if (is_over(board, board->timer_at)) board->timer_at = board->tick;
}

static void begin(petiole *board, const petiole_config *config) {
  board->config = config;
  board->sender.length = board->sender.at = board->sender.is_full = 0;
  board->receiver.left = board->receiver.code = board->receiver.is_bad = 0;
  board->bad_frames = board->repeated = board->discarded = 0;
  board->magic = MAGIC;
  board->lost = 0;
  board->nonce = config->entropy;
  board->started_at = petiole_now(board);
  board->description = petiole_description(&board->sender, config->entities, config->entity_count);
  board->keep_alive = KEEP_ALIVE_S;
  board->silent_ms = 0;
  board->is_asleep = 0;
  board->state = CLOSED;
  look_at_clock(board);
  board->sent_at = (uint16_t)(board->tick - SECOND);
  close_after(board, 0);
#if PETIOLE_WITH_FIRMWARE
  petiole_image_start(board);
#endif
}

void petiole_start(petiole *board, const petiole_config *config) {
  board->session = 0;
  board->oldest = 1;
  board->ring.first = board->ring.count = 0;
  board->ring.head = board->ring.used = 0;
  begin(board, config);
}

uint8_t petiole_resume(petiole *board, const petiole_config *config) {
  if (board->magic != MAGIC || board->session == 0 || !petiole_ring_is_sound(&board->ring)) {
    petiole_start(board, config);
    return 0;
  }
  begin(board, config);
  unsend(board, MARK_NO_AGE);
  return 1;
}

uint8_t petiole_is_open(const petiole *board) { return board->state == OPEN; }

uint8_t petiole_waiting(const petiole *board) { return board->ring.count; }

uint32_t petiole_number(const petiole *board) { return board->oldest + board->ring.count - 1; }

/* What the program gives */

uint8_t petiole_has_room(const petiole *board, uint16_t length) {
  return board->ring.count < PETIOLE_RING_FRAMES && length <= PETIOLE_RING_BYTES - board->ring.used;
}

uint8_t petiole_keep(petiole *board, uint8_t type, uint16_t length) {
  petiole_entry *entry;
  uint8_t reserve = type == REPLY ? 0 : PETIOLE_REPLY_BYTES;
  if (length > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  if (!petiole_has_room(board, (uint16_t)(length + reserve)) ||
      (reserve != 0 && board->ring.count == PETIOLE_RING_FRAMES - 1)) {
    board->lost++;
    return PETIOLE_BUSY;
  }
  entry = petiole_ring_entry(&board->ring, board->ring.count++);
  entry->length = 0;
  entry->type = type;
  entry->marks = 0;
  entry->values = 1;
  board->is_asleep = 0;
  return PETIOLE_OK;
}

uint8_t petiole_put_value(petiole *board, uint8_t number, const petiole_value *value) {
  uint8_t item[PETIOLE_CBOR_MAX];
  uint32_t now = petiole_now(board);
  uint16_t text = value->type == PETIOLE_TEXT || value->type == PETIOLE_BYTES ? value->as.text.length : 0;
  uint16_t length = (uint16_t)(VALUE_BYTES_MAX + text);
  petiole_entry *entry = petiole_ring_entry(&board->ring, (uint8_t)(board->ring.count - 1));
  if (number >= board->config->entity_count) return PETIOLE_UNKNOWN_ENTITY;
  if (text > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  if (board->ring.count > 0 && (entry->marks & MARK_GROWS) != 0 && entry->values < VALUES_MAX &&
      length + entry->length <= PETIOLE_PAYLOAD_MAX &&
      length + PETIOLE_REPLY_BYTES <= PETIOLE_RING_BYTES - board->ring.used) {
    entry->values++;
  } else {
    uint8_t code = petiole_keep(board, DATA, (uint16_t)(BATCH_HEAD_BYTES + length));
    if (code != PETIOLE_OK) return code;
    petiole_put_u32(item, now);
    petiole_ring_add(&board->ring, item, BATCH_HEAD_BYTES);
    petiole_ring_entry(&board->ring, (uint8_t)(board->ring.count - 1))->marks = MARK_GROWS;
    board->batch_at = now;
  }
  petiole_ring_add(&board->ring, item, petiole_cbor_head(item, MAJOR_UNSIGNED, number));
  petiole_ring_add(&board->ring, item, petiole_cbor_value(item, value));
  if (text > 0) petiole_ring_add(&board->ring, value->as.text.bytes, text);
  petiole_ring_add(&board->ring, item, petiole_cbor_head(item, MAJOR_UNSIGNED, now - board->batch_at));
  return PETIOLE_OK;
}

static uint8_t put_integer(petiole *board, uint8_t entity, uint8_t type, int32_t integer) {
  petiole_value value;
  value.type = type;
  value.as.integer = integer;
  return petiole_put_value(board, entity, &value);
}

uint8_t petiole_put_boolean(petiole *board, uint8_t entity, uint8_t boolean) {
  return put_integer(board, entity, PETIOLE_BOOLEAN, boolean);
}

uint8_t petiole_put_integer(petiole *board, uint8_t entity, int32_t integer) {
  return put_integer(board, entity, PETIOLE_INTEGER, integer);
}

uint8_t petiole_put_float(petiole *board, uint8_t entity, float real) {
  petiole_value value;
  value.type = PETIOLE_FLOAT;
  value.as.real = real;
  return petiole_put_value(board, entity, &value);
}

uint8_t petiole_put_text(petiole *board, uint8_t entity, const char *text) {
  petiole_value value;
  value.type = PETIOLE_TEXT;
  value.as.text.bytes = (const uint8_t *)text;
  value.as.text.length = petiole_length(text);
  return petiole_put_value(board, entity, &value);
}

uint8_t petiole_publish(petiole *board, const char *subject, const void *payload, uint16_t length) {
  uint16_t name = petiole_length(subject);
  uint8_t head = (uint8_t)name;
  uint8_t code;
  if (name > 128 || length > PETIOLE_PAYLOAD_MAX) return PETIOLE_TOO_LARGE;
  code = petiole_keep(board, PUBLISH, (uint16_t)(1 + name + length));
  if (code != PETIOLE_OK) return code;
  petiole_ring_add(&board->ring, &head, 1);
  petiole_ring_add(&board->ring, (const uint8_t *)subject, name);
  petiole_ring_add(&board->ring, (const uint8_t *)payload, length);
  return PETIOLE_OK;
}

uint8_t petiole_drop_oldest(petiole *board) {
  petiole_entry *entry = petiole_ring_entry(&board->ring, 0);
  if (board->ring.count == 0) return PETIOLE_BUSY;
  if (entry->type != SKIP) board->lost += entry->values;
  petiole_ring_pop(&board->ring);
  board->oldest++;
  /* HELLO tells the gateway where the numbers go on. */
  if (board->state != CLOSED) close_after(board, UNITS(AFTER_ASK_MS));
  return PETIOLE_OK;
}

void petiole_ask_time(petiole *board) { board->due |= DUE_TIME; }

void petiole_sleep(petiole *board, uint32_t ms) {
  board->silent_ms = ms;
  board->due |= DUE_PING;
}

/* What is sent */

void petiole_begin(petiole *board, uint8_t type) {
  petiole_frame_begin(&board->sender, type, 0, board->sender.counter++, board->channel, board->frame_max);
}

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
    sender->at = (uint16_t)(sender->at + count);
  }
  return 1;
}

uint8_t petiole_log(petiole *board, uint8_t level, const char *text) {
  if (board->state != OPEN || !flush(board)) return PETIOLE_BUSY;
  petiole_begin(board, LOG);
  petiole_frame_u8(&board->sender, level);
  petiole_frame_bytes(&board->sender, (const uint8_t *)text, petiole_length(text));
  end(board);
  return PETIOLE_OK;
}

static void put_hello(petiole *board) {
  petiole_sender *sender = &board->sender;
  const petiole_config *config = board->config;
  uint32_t now = petiole_now(board);
  uint8_t features = config->features;
#if PETIOLE_WITH_MESSAGES
  features |= PETIOLE_TAKES_COMMANDS;
#endif
#if PETIOLE_WITH_FIRMWARE
  if (config->firmware_write != NULL) features |= PETIOLE_TAKES_FIRMWARE;
#endif
  /* One that no other HELLO had, as well as entropy can; not secret. */
  board->nonce = ((board->nonce ^ now) << 5) + board->nonce + 1;
  petiole_frame_begin(sender, HELLO, 0, sender->counter++, 0, PETIOLE_FRAME_MAX);
  petiole_frame_u8(sender, 0x11);
  petiole_frame_u8(sender, config->reset_reason);
  petiole_frame_u16(sender, PETIOLE_FRAME_MAX);
  petiole_frame_u8(sender, PETIOLE_RING_FRAMES);
  petiole_frame_u8(sender, features);
  petiole_frame_u32(sender, board->nonce);
  petiole_frame_u32(sender, board->session);
  petiole_frame_u32(sender, board->oldest);
  petiole_frame_hello(sender, config, now - board->started_at, board->lost, board->description);
  board->timer_at = (uint16_t)(board->tick + board->hello);
  board->hello = doubled(board->hello, HELLO_MAX);
}

static void put_describe(petiole *board) {
  petiole_sender *sender = &board->sender;
  const petiole_config *config = board->config;
  uint8_t i = board->step;
  petiole_begin(board, DESCRIBE);
  petiole_frame_u8(sender, i);
  petiole_frame_u8(sender, config->entity_count);
  for (; i < config->entity_count; i++) {
    uint16_t length = sender->length;
    petiole_describe_entity(sender, &config->entities[i]);
    if (!sender->is_full) continue;
    /* The one that does not fit is for the next frame. */
    sender->length = length;
    break;
  }
}

/* What opens the conversation: again, until it is answered. */
static uint8_t put_opening(petiole *board) {
  if (!is_over(board, board->timer_at)) return 0;
  if (board->state == CLOSED || board->tries++ == TRIES_MAX) {
    if (board->state != CLOSED) close_after(board, 0);
    put_hello(board);
    return 1;
  }
  board->timer_at = (uint16_t)(board->tick + ANSWER);
  if (board->state == DESCRIBING) {
    put_describe(board);
    return 1;
  }
#if PETIOLE_WITH_MESSAGES
  petiole_begin(board, SUBSCRIBE);
  petiole_frame_u8(&board->sender, board->step);
  petiole_frame_u8(&board->sender, 1);
  petiole_frame_text(&board->sender, board->config->subscriptions[board->step]);
#endif
  return 1;
}

/* The age of a batch or the time that is left for a request, in place of the moment that the ring keeps. */
static void set_time(const petiole *board, const petiole_entry *entry) {
  uint8_t *field = (uint8_t *)&board->sender.line[PETIOLE_PLAIN_AT + PETIOLE_HEADER_BYTES];
  uint32_t time;
  uint8_t is_known = (entry->marks & MARK_NO_AGE) == 0;
  if (entry->type == DATA) {
    time = is_known ? petiole_now(board) - petiole_u32_at(field) : 0xffffffffu;
  } else if (entry->type == REQUEST) {
    field += 2;
    time = petiole_u32_at(field) - petiole_now(board);
    if (!is_known || (int32_t)time < 0) time = 0;
  } else {
    return;
  }
  petiole_put_u32(field, time);
}

static void put_entry(petiole *board, petiole_entry *entry, uint8_t index) {
  petiole_sender *sender = &board->sender;
  uint8_t flags = NUMBERED;
  if (entry->length > (uint16_t)(board->frame_max - PETIOLE_HEADER_BYTES - PETIOLE_CHECK_BYTES)) {
    board->lost += entry->values;
    entry->type = SKIP;
    entry->values = PETIOLE_TOO_LARGE;
  }
  if ((entry->marks & MARK_BEFORE) != 0) {
    flags = NUMBERED | REPEAT;
    board->repeated++;
  }
  petiole_frame_begin(sender, entry->type, flags, (uint16_t)(board->oldest + index), board->channel, board->frame_max);
  if (entry->type == SKIP) {
    petiole_frame_u8(sender, entry->values);
  } else {
    petiole_ring_copy(&board->ring, index, sender);
    set_time(board, entry);
  }
  entry->marks = (uint8_t)((entry->marks & MARK_NO_AGE) | MARK_SENT | MARK_BEFORE);
}

/* A batch that may still wait for more. */
static uint8_t is_waiting(const petiole *board, const petiole_entry *entry) {
  return (entry->marks & MARK_GROWS) != 0 && board->config->batch_ms > petiole_now(board) - board->batch_at &&
         entry->length + VALUE_BYTES_MAX <= PETIOLE_PAYLOAD_MAX;
}

/* The next numbered frame; 0 where there is none for now. */
static uint8_t put_numbered(petiole *board) {
  uint8_t i;
  if (board->is_held && !is_over(board, board->held_until)) return 0;
  board->is_held = 0;
  for (i = 0; i < board->ring.count && i < board->window; i++) {
    petiole_entry *entry = petiole_ring_entry(&board->ring, i);
    if ((entry->marks & (MARK_SENT | MARK_AGAIN)) == MARK_SENT) {
      if (i > 0 || !is_over(board, board->retry_at)) continue;
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
    if (board->is_asleep || !is_over(board, (uint16_t)(board->sent_at + board->keep_alive * SECOND))) return 0;
  }
  board->due &= (uint8_t)~DUE_PING;
  petiole_begin(board, PING);
  petiole_frame_u32(sender, petiole_now(board) - board->started_at);
  petiole_frame_u32(sender, board->lost);
  petiole_frame_u32(sender, board->silent_ms);
  board->is_asleep = board->silent_ms != 0;
  board->silent_ms = 0;
  return 1;
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
    case DUE_ACK:
      petiole_begin(board, ACK);
      petiole_frame_u16(sender, board->taken);
      break;
    case DUE_NAK:
      petiole_begin(board, NAK);
      petiole_frame_u16(sender, board->nak_sequence);
      petiole_frame_u8(sender, board->nak_code);
      petiole_frame_u16(sender, AFTER_ASK_MS);
      break;
    case DUE_PONG:
      petiole_begin(board, PONG);
      petiole_frame_bytes(sender, board->pong, board->pong_length);
      break;
    case DUE_TIME:
      petiole_begin(board, TIME);
      break;
#if PETIOLE_WITH_FIRMWARE
    case DUE_STATE:
      petiole_begin(board, FIRMWARE);
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
  uint16_t at = board->timer_at;
  look_at_clock(board);
#if PETIOLE_WITH_FIRMWARE
  petiole_image_poll(board);
#endif
  for (;;) {
    if (!flush(board)) return 0;
    if (board->state != CLOSED && !board->is_asleep &&
        is_over(board, (uint16_t)(board->heard_at + board->keep_alive * (3 * SECOND)))) {
      close_after(board, 0);
    }
    if (!put_next(board)) break;
    end(board);
  }
  /* While frames wait for their receipt or a batch for company, there is always something to look at. */
  if (board->ring.count > 0) return UNIT_MS;
  if (board->is_asleep) return board->keep_alive * (uint32_t)1000;
  if (board->state == OPEN) at = (uint16_t)(board->sent_at + board->keep_alive * SECOND);
  at = (uint16_t)(at - board->tick);
  return at == 0 || at > HELLO_MAX * 8 ? UNIT_MS : at * (uint32_t)UNIT_MS;
}

/* What is heard */

/* To the next state of opening that has something to do. */
static void go_on(petiole *board) {
  if (board->state == DESCRIBING && board->step < board->config->entity_count) {
    become(board, DESCRIBING);
    return;
  }
#if PETIOLE_WITH_MESSAGES
  if (board->state == DESCRIBING) board->step = 0;
  if (board->step < board->config->subscription_count) {
    become(board, SUBSCRIBING);
    return;
  }
#endif
  board->retry = SECOND;
  board->is_held = 0;
  unsend(board, 0);
  become(board, OPEN);
}

static void hear_hello(petiole *board, const uint8_t *payload, uint16_t length) {
  uint8_t kind = payload[0];
  uint16_t frame_max = petiole_u16_at(payload + 2);
  if (length == 0) return;
  if (kind == 0) close_after(board, UNITS(AFTER_ASK_MS));
  if (board->state != CLOSED || length < 8) return;
  if (kind == 2 && petiole_u32_at(payload + 4) == board->nonce) {
    /* Up to half of the time in which units go round. */
    if (frame_max > 500) frame_max = 500;
    board->timer_at = (uint16_t)(board->tick + (frame_max + 1) * SECOND);
  }
  if (kind != 1 || length < 16 || petiole_u32_at(payload + 8) != board->nonce) return;
  if (frame_max < FRAME_MAX_LEAST || payload[4] == 0 || payload[5] == 0) return;
  board->frame_max = frame_max > PETIOLE_FRAME_MAX ? PETIOLE_FRAME_MAX : frame_max;
  board->window = payload[4];
  board->channel = payload[5];
  board->keep_alive = payload[7] > KEEP_ALIVE_S_MAX ? KEEP_ALIVE_S_MAX : payload[7];
  board->session = petiole_u32_at(payload + 12);
  board->taken = 0;
  board->heard_at = board->tick;
  board->state = DESCRIBING;
  board->step = (payload[6] & 1) != 0 ? 0 : board->config->entity_count;
  go_on(board);
}

static void tell_receipt(petiole *board, uint32_t number, uint8_t code) {
  if (board->config->receipt != NULL) board->config->receipt(board->config->user, number, code);
}

static void hear_ack(petiole *board, uint16_t sequence) {
  uint16_t left = (uint16_t)(sequence - (uint16_t)board->oldest + 1);
  if (left == 0 || left > board->ring.count) return;
  while (left-- > 0) {
    petiole_entry *entry = petiole_ring_entry(&board->ring, 0);
    uint8_t type = entry->type;
    if ((entry->marks & MARK_BEFORE) == 0) break;
    petiole_ring_pop(&board->ring);
    board->oldest++;
    if (type != SKIP) tell_receipt(board, board->oldest - 1, PETIOLE_OK);
  }
  board->retry = SECOND;
  board->retry_at = (uint16_t)(board->tick + SECOND);
}

static void hear_nak(petiole *board, const uint8_t *payload) {
  uint16_t index = (uint16_t)(petiole_u16_at(payload) - (uint16_t)board->oldest);
  uint8_t code = payload[2];
  petiole_entry *entry = petiole_ring_entry(&board->ring, (uint8_t)index);
  if (index >= board->ring.count || (entry->marks & MARK_SENT) == 0) return;
  entry->marks |= MARK_AGAIN;
  if (code == PETIOLE_BUSY) {
    board->is_held = 1;
    board->held_until = (uint16_t)(board->tick + UNITS((uint32_t)petiole_u16_at(payload + 3)));
  } else if (code != PETIOLE_MISSING && entry->type != SKIP) {
    entry->type = SKIP;
    entry->values = code;
    tell_receipt(board, board->oldest + index, code);
  }
}

static uint8_t hear_numbered(petiole *board, uint8_t type, const uint8_t *payload, uint16_t length) {
#if PETIOLE_WITH_MESSAGES
  if (type == MESSAGE) return petiole_take_message(board, payload, length);
  if (type == REQUEST) return petiole_take_request(board, payload, length);
  if (type == REPLY) return petiole_take_reply(board, payload, length);
#else
  (void)board;
  (void)type;
  (void)payload;
  (void)length;
#endif
  return PETIOLE_UNKNOWN_TYPE;
}

static void hear(petiole *board) {
  const uint8_t *frame = board->receiver.frame;
  const uint8_t *payload = frame + PETIOLE_HEADER_BYTES;
  uint16_t length = (uint16_t)(board->receiver.length - PETIOLE_HEADER_BYTES - PETIOLE_CHECK_BYTES);
  uint16_t sequence = petiole_u16_at(frame + 3);
  uint8_t type = frame[1];
  uint8_t flags = frame[2];
  if (type == HELLO && frame[5] == 0 && flags == 0) {
    hear_hello(board, payload, length);
    return;
  }
  if (board->state == CLOSED || frame[5] != board->channel) {
    board->discarded++;
    return;
  }
  board->heard_at = board->tick;
  if ((flags & NUMBERED) != 0) {
    uint16_t ahead = (uint16_t)(sequence - board->taken);
    uint8_t code = PETIOLE_OK;
    if (ahead > 1) return;
    if (ahead == 1) {
      code = (flags & ~(NUMBERED | REPEAT)) != 0 ? PETIOLE_UNKNOWN_FLAGS : hear_numbered(board, type, payload, length);
      if (code != PETIOLE_BUSY) board->taken = sequence;
    }
    board->nak_sequence = sequence;
    board->nak_code = code;
    if (code == PETIOLE_OK) board->due |= DUE_ACK;
    else board->due |= DUE_NAK;
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
      memcpy(board->pong, payload, sizeof board->pong);
      board->due |= DUE_PONG;
      break;
    case TIME:
      if (length < 9 || board->config->time == NULL) break;
      board->config->time(board->config->user, payload);
      break;
#if PETIOLE_WITH_FIRMWARE
    case FIRMWARE:
      if (length >= 1) petiole_image_take(board, payload, length);
      break;
#endif
  }
}

void petiole_receive(petiole *board, const uint8_t *bytes, size_t length) {
  look_at_clock(board);
  for (; length > 0; length--) {
    uint8_t result = petiole_frame_byte(&board->receiver, *bytes++);
    if (result == FRAME_SOUND) hear(board);
    if (result == FRAME_BAD) board->bad_frames++;
  }
}
