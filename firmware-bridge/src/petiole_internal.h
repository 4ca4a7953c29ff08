/* What the files of the library share. Not for use from outside. */
#ifndef PETIOLE_INTERNAL_H
#define PETIOLE_INTERNAL_H

#include "../include/petiole.h"

#include <string.h>

enum {
  HELLO = 0x01,
  DESCRIBE = 0x02,
  DATA = 0x03,
  PUBLISH = 0x04,
  SUBSCRIBE = 0x05,
  MESSAGE = 0x06,
  REQUEST = 0x07,
  REPLY = 0x08,
  ACK = 0x09,
  NAK = 0x0a,
  PING = 0x0b,
  PONG = 0x0c,
  LOG = 0x0d,
  TIME = 0x0e,
  FIRMWARE = 0x0f,
  SKIP = 0x10
};

enum { NUMBERED = 0x01, REPEAT = 0x02 };

/* States of the conversation. */
enum { CLOSED = 0, DESCRIBING = 1, SUBSCRIBING = 2, OPEN = 3 };

/* Bits of `due`, in the order in which they are done; PING waits for numbered frames. */
enum {
  DUE_ANSWER = 0x01, /* ACK or NAK */
  DUE_PONG = 0x04,
  DUE_STATE = 0x08,
  DUE_BOOT = 0x10,
  DUE_TIME = 0x20,
  DUE_PING = 0x40
};

/* Of time without milliseconds: so that it has 16 bits, and goes round in 17 minutes. */
#define UNIT_MS 16u
#define UNITS(ms) ((uint16_t)(((ms) + UNIT_MS - 1) / UNIT_MS))
#define SECOND 62u

#define FRAME_MAX_LEAST 64
#define AFTER_ASK_MS 200u
#define BATCH_HEAD_BYTES 4
/* Entity, value without the bytes of a text, offset. */
#define VALUE_BYTES_MAX (2 + PETIOLE_CBOR_MAX + PETIOLE_CBOR_MAX)

/* Out of line: where a part is inlined, small processors have to reach further. */
#if defined(__GNUC__)
#define PETIOLE_APART __attribute__((noinline))
#else
#define PETIOLE_APART
#endif

/* petiole_frame.c */

#if PETIOLE_CRC16
typedef uint16_t petiole_check;
#define PETIOLE_CHECK_START 0xffffu
#define PETIOLE_CHECK_END 0u
#else
typedef uint32_t petiole_check;
#define PETIOLE_CHECK_START 0xffffffffu
#define PETIOLE_CHECK_END 0xffffffffu
#endif

petiole_check petiole_check_bytes(petiole_check check, const uint8_t *bytes, petiole_size length);

/* Where the plain frame begins in `line`: behind a zero and the first code. */
#define PETIOLE_PLAIN_AT 2

/* Before the first frame, and when a conversation is opened or closed: its channel and maximum frame. */
void petiole_frame_channel(petiole_sender *sender, uint8_t channel, uint16_t frame_max);
void petiole_frame_numbered(petiole_sender *sender, uint8_t type, uint8_t flags, uint16_t sequence);
/* The same without a number. */
void petiole_frame_begin(petiole_sender *sender, uint8_t type);
void petiole_frame_u8(petiole_sender *sender, uint8_t value);
void petiole_frame_u16(petiole_sender *sender, uint16_t value);
void petiole_frame_u32(petiole_sender *sender, uint32_t value);
void petiole_frame_bytes(petiole_sender *sender, const uint8_t *bytes, petiole_size length);
/* With its length in front; NULL as ''. */
void petiole_frame_text(petiole_sender *sender, const char *text);
/* Adds the check and encodes. */
void petiole_frame_end(petiole_sender *sender);

enum { FRAME_NONE = 0, FRAME_SOUND = 1, FRAME_BAD = 2 };
uint8_t petiole_frame_byte(petiole_receiver *receiver, uint8_t byte);

uint16_t petiole_u16_at(const uint8_t *bytes);
uint32_t petiole_u32_at(const uint8_t *bytes);
void petiole_put_u32(uint8_t *bytes, uint32_t value);
/* In place of <string.h>, whose functions are made for speed and take their flash. */
void petiole_copy(uint8_t *to, const uint8_t *from, uint8_t length);
uint8_t petiole_is_same(const uint8_t *one, const uint8_t *other, uint8_t length);
/* 0 of NULL. */
uint16_t petiole_length(const char *text);
/* Reads a `str` or `bytes`; gives what is behind it, or NULL where it leads beyond the end or `at` is NULL. */
const uint8_t *petiole_slice_at(const uint8_t *at, const uint8_t *end, petiole_slice *slice);

/* petiole_cbor.c */

enum { MAJOR_UNSIGNED = 0, MAJOR_NEGATIVE = 1, MAJOR_BYTES = 2, MAJOR_TEXT = 3 };

#define PETIOLE_CBOR_MAX 5
/* Writes the head of an item; gives what is behind it. */
uint8_t *petiole_cbor_head(uint8_t *to, uint8_t major, uint32_t argument);
/* The same of a value other than the bytes of a text: up to PETIOLE_CBOR_MAX bytes. */
uint8_t *petiole_cbor_value(uint8_t *to, uint8_t type, uint32_t bits);
/* Of an integer or a floating point number what is in memory, of a text its length. */
uint32_t petiole_cbor_bits(const petiole_value *value);
/* Reads an item and moves *at behind it; a code. */
uint8_t petiole_cbor_read(const uint8_t **at, const uint8_t *end, petiole_value *value);

/* petiole_describe.c */

void petiole_frame_value(petiole_sender *sender, uint8_t type, uint32_t bits, const void *text);
void petiole_describe_entity(petiole_sender *sender, const petiole_entity *entity);
/* What HELLO says of the entities. */
uint32_t petiole_description(petiole_sender *sender, const petiole_config *config);
void petiole_frame_hello(petiole_sender *sender, const petiole_config *config, uint8_t window, uint8_t features,
                         const petiole_words *words);

/* petiole_ring.c */

/* Marks of a frame in the ring. */
enum {
  MARK_SENT = 0x01,   /* in this conversation */
  MARK_BEFORE = 0x02, /* ever */
  MARK_AGAIN = 0x04,  /* to be sent again */
  MARK_GROWS = 0x08,  /* a batch to which values may still be added */
  MARK_NO_AGE = 0x10  /* its times are those of an earlier boot */
};

/* 1 where what it says of itself can be. */
uint8_t petiole_ring_is_sound(const petiole *board);
petiole_entry *petiole_ring_entry(petiole *board, uint8_t index);
/* Of the newest frame. */
petiole_entry *petiole_ring_newest(petiole *board);
/* Whether a numbered frame of so many payload bytes fits; a code. */
uint8_t petiole_ring_has_room(const petiole *board, uint16_t length);
/* Begins one; a code. */
uint8_t petiole_ring_begin(petiole *board, uint8_t type, uint16_t length);
/* Adds to the newest frame. */
void petiole_ring_add(petiole *board, const uint8_t *bytes, petiole_size length);
/* A whole one of a head, a subject where there is one, and a payload; a code. */
uint8_t petiole_ring_put(petiole *board, uint8_t type, const uint8_t *head, uint8_t head_length, const char *subject,
                         const void *payload, uint16_t length);
void petiole_ring_pop(petiole *board);
/* Puts the payload into a frame. */
void petiole_ring_copy(petiole *board, uint8_t index);

/* petiole.c */

/* Sets uptime and tick; gives the uptime. */
uint32_t petiole_look_at_clock(petiole *board);
/* Whether the clock is at this unit of time, or behind it. */
uint8_t petiole_is_over(const petiole *board, uint16_t at);
void petiole_become(petiole *board, uint8_t state);
/* HELLO follows, but not at once behind another. */
void petiole_close(petiole *board);
/* Nothing is sent in this conversation yet. */
void petiole_unsend(petiole *board, uint8_t mark);

/* petiole_messages.c: codes */

#if PETIOLE_WITH_MESSAGES
uint8_t petiole_take_message(petiole *board, const uint8_t *payload, const uint8_t *end);
uint8_t petiole_take_request(petiole *board, const uint8_t *payload, const uint8_t *end);
uint8_t petiole_take_reply(petiole *board, const uint8_t *payload, const uint8_t *end);
#endif

/* petiole_image.c */

#if PETIOLE_WITH_FIRMWARE
void petiole_image_start(petiole *board);
void petiole_image_take(petiole *board, const uint8_t *payload, petiole_size length);
void petiole_image_state(petiole *board);
/* After STATE booting has left: starts the image. */
void petiole_image_boot(petiole *board);
void petiole_image_poll(petiole *board);
#endif

#endif
