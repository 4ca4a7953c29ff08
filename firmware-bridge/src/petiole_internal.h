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
  DUE_ACK = 0x01,
  DUE_NAK = 0x02,
  DUE_PONG = 0x04,
  DUE_STATE = 0x08,
  DUE_BOOT = 0x10,
  DUE_TIME = 0x20,
  DUE_PING = 0x40
};

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

petiole_check petiole_check_bytes(petiole_check check, const uint8_t *bytes, uint16_t length);

/* Where the plain frame begins in `line`: so far behind that encoding from there to the beginning never overtakes it. */
#define PETIOLE_PLAIN_AT (2 + PETIOLE_FRAME_MAX / 254)

void petiole_frame_begin(petiole_sender *sender, uint8_t type, uint8_t flags, uint16_t sequence, uint8_t channel,
                         uint16_t frame_max);
void petiole_frame_u8(petiole_sender *sender, uint8_t value);
void petiole_frame_u16(petiole_sender *sender, uint16_t value);
void petiole_frame_u32(petiole_sender *sender, uint32_t value);
void petiole_frame_bytes(petiole_sender *sender, const uint8_t *bytes, uint16_t length);
/* With its length in front; NULL as ''. */
void petiole_frame_text(petiole_sender *sender, const char *text);
/* Adds the check and encodes. */
void petiole_frame_end(petiole_sender *sender);

enum { FRAME_NONE = 0, FRAME_SOUND = 1, FRAME_BAD = 2 };
uint8_t petiole_frame_byte(petiole_receiver *receiver, uint8_t byte);

uint16_t petiole_u16_at(const uint8_t *bytes);
uint32_t petiole_u32_at(const uint8_t *bytes);
void petiole_put_u32(uint8_t *bytes, uint32_t value);
uint16_t petiole_length(const char *text);

/* petiole_cbor.c */

enum { MAJOR_UNSIGNED = 0, MAJOR_NEGATIVE = 1, MAJOR_BYTES = 2, MAJOR_TEXT = 3, MAJOR_SIMPLE = 7 };

#define PETIOLE_CBOR_MAX 5
/* Writes the head of an item; returns its length. */
uint8_t petiole_cbor_head(uint8_t *to, uint8_t major, uint32_t argument);
/* The same of a value other than the bytes of a text: up to PETIOLE_CBOR_MAX bytes. */
uint8_t petiole_cbor_value(uint8_t *to, const petiole_value *value);
/* Reads an item and moves *at behind it; a code. */
uint8_t petiole_cbor_read(const uint8_t **at, const uint8_t *end, petiole_value *value);

/* petiole_describe.c */

void petiole_describe_entity(petiole_sender *sender, const petiole_entity *entity);
uint32_t petiole_description(petiole_sender *sender, const petiole_entity *entities, uint8_t count);
/* The payload of HELLO but for what stands in front of `boot count`, which the caller has put. */
void petiole_frame_hello(petiole_sender *sender, const petiole_config *config, uint32_t uptime, uint32_t lost,
                         uint32_t description);

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
uint8_t petiole_ring_is_sound(const petiole_ring *ring);
petiole_entry *petiole_ring_entry(petiole_ring *ring, uint8_t index);
/* Adds to the newest frame. */
void petiole_ring_add(petiole_ring *ring, const uint8_t *bytes, uint16_t length);
void petiole_ring_pop(petiole_ring *ring);
/* Puts the payload into a frame. */
void petiole_ring_copy(const petiole_ring *ring, uint8_t index, petiole_sender *sender);

/* petiole.c */

uint32_t petiole_now(const petiole *board);
/* Whether a numbered frame of so many payload bytes fits; a code. */
uint8_t petiole_has_room(const petiole *board, uint16_t length);
/* Begins one in the ring; a code. */
uint8_t petiole_keep(petiole *board, uint8_t type, uint16_t length);
/* The beginning of a frame of this conversation without number. */
void petiole_begin(petiole *board, uint8_t type);

/* petiole_messages.c: codes */

#if PETIOLE_WITH_MESSAGES
uint8_t petiole_take_message(petiole *board, const uint8_t *payload, uint16_t length);
uint8_t petiole_take_request(petiole *board, const uint8_t *payload, uint16_t length);
uint8_t petiole_take_reply(petiole *board, const uint8_t *payload, uint16_t length);
#endif

/* petiole_image.c */

#if PETIOLE_WITH_FIRMWARE
void petiole_image_start(petiole *board);
void petiole_image_take(petiole *board, const uint8_t *payload, uint16_t length);
void petiole_image_state(petiole *board);
/* After STATE booting has left: starts the image. */
void petiole_image_boot(petiole *board);
void petiole_image_poll(petiole *board);
#endif

#endif
