/*
 * The board's side of the bridge protocol (see PROTOCOL.md), in C99, without an operating system and without allocation.
 *
 *   static petiole board;                                   all memory that it takes
 *
 *   petiole_start(&board, &config);                         who the board is, what it has, and its callbacks
 *   for (;;) {
 *     while (a byte came) petiole_receive(&board, &byte, 1);
 *     petiole_poll(&board);                                 sends, repeats, keeps alive
 *     petiole_put_integer(&board, TEMPERATURE, read());     kept until the gateway has it on its disk
 *   }
 *
 * Nothing here waits. Call it from one thread or loop; bytes that an interrupt receives belong in a buffer of yours first.
 * All callbacks are made from within petiole_receive and petiole_poll. In them petiole_put_*, petiole_publish,
 * petiole_request, petiole_reply and petiole_log may be called, petiole_receive and petiole_poll not.
 *
 * Boards without room for this, or without a wire to hear on, take petiole_beacon.h.
 */
#ifndef PETIOLE_H
#define PETIOLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes. Define them for the whole build, not in one file: they are part of the layout of `petiole`. */

/* Largest frame, header and check included, 64 to 1024. The context holds two. */
#ifndef PETIOLE_FRAME_MAX
#define PETIOLE_FRAME_MAX 256
#endif
/* The retry ring: payloads that wait for their receipt. */
#ifndef PETIOLE_RING_BYTES
#define PETIOLE_RING_BYTES 1024
#endif
/* Frames that it holds at most, and as many are under way at once: a power of two, up to 32. */
#ifndef PETIOLE_RING_FRAMES
#define PETIOLE_RING_FRAMES 16
#endif
/* Kept free for replies while values and messages fill the ring; a request comes only while so much is free. At least 8. */
#ifndef PETIOLE_REPLY_BYTES
#define PETIOLE_REPLY_BYTES 32
#endif
/* 1: frames carry a CRC-16. Smaller and faster on 8-bit boards; PROTOCOL.md says what it costs. */
#ifndef PETIOLE_CRC16
#define PETIOLE_CRC16 0
#endif
/* 1: subscriptions, requests and commands. */
#ifndef PETIOLE_WITH_MESSAGES
#define PETIOLE_WITH_MESSAGES 1
#endif
/* 1: firmware images. */
#ifndef PETIOLE_WITH_FIRMWARE
#define PETIOLE_WITH_FIRMWARE 1
#endif

#if PETIOLE_FRAME_MAX < 64 || PETIOLE_FRAME_MAX > 1024
#error "PETIOLE_FRAME_MAX is 64 to 1024"
#endif
#if PETIOLE_WITH_FIRMWARE && PETIOLE_FRAME_MAX < 128
#error "PETIOLE_FRAME_MAX is 128 or more with PETIOLE_WITH_FIRMWARE: an image begins with one frame"
#endif
#if PETIOLE_REPLY_BYTES < 8
#error "PETIOLE_REPLY_BYTES is 8 or more: the answer to a command"
#endif
#if PETIOLE_RING_BYTES < 64 || PETIOLE_RING_BYTES > 32768
#error "PETIOLE_RING_BYTES is 64 to 32768"
#endif

#if PETIOLE_RING_FRAMES < 2 || PETIOLE_RING_FRAMES > 32 || (PETIOLE_RING_FRAMES & (PETIOLE_RING_FRAMES - 1)) != 0
#error "PETIOLE_RING_FRAMES is 2, 4, 8, 16 or 32"
#endif

#if PETIOLE_CRC16
#define PETIOLE_VERSION 0x11
#define PETIOLE_CHECK_BYTES 2
#else
#define PETIOLE_VERSION 0x01
#define PETIOLE_CHECK_BYTES 4
#endif
#define PETIOLE_HEADER_BYTES 6
/* Longest payload of a frame. */
#define PETIOLE_PAYLOAD_MAX (PETIOLE_FRAME_MAX - PETIOLE_HEADER_BYTES - PETIOLE_CHECK_BYTES)

/* Codes of NAK, REPLY and FIRMWARE, and what functions here return. */
enum {
  PETIOLE_OK = 0,
  PETIOLE_MISSING = 1,
  PETIOLE_BUSY = 2,
  PETIOLE_UNKNOWN_TYPE = 3,
  PETIOLE_UNKNOWN_FLAGS = 4,
  PETIOLE_MALFORMED = 5,
  PETIOLE_TOO_LARGE = 6,
  PETIOLE_NOT_PERMITTED = 7,
  PETIOLE_UNKNOWN_ENTITY = 8,
  PETIOLE_BAD_VALUE = 9,
  PETIOLE_NO_RESPONDERS = 10,
  PETIOLE_DEADLINE = 11,
  PETIOLE_UNSUPPORTED = 12,
  PETIOLE_BAD_VERSION = 13,
  PETIOLE_FAILED = 14,
  PETIOLE_DROPPED = 15,
  PETIOLE_WRONG_TARGET = 32,
  PETIOLE_IMAGE_TOO_LARGE = 33,
  PETIOLE_OLDER = 34,
  PETIOLE_BAD_SIGNATURE = 35,
  PETIOLE_BAD_HASH = 36,
  PETIOLE_WRITE_FAILED = 37,
  PETIOLE_WRONG_STATE = 38,
  PETIOLE_LOW_POWER = 39,
  PETIOLE_CANCELLED = 40
};

/* Why the board was reset. */
enum {
  PETIOLE_RESET_UNKNOWN = 0,
  PETIOLE_RESET_POWER = 1,
  PETIOLE_RESET_PIN = 2,
  PETIOLE_RESET_WATCHDOG = 3,
  PETIOLE_RESET_BROWN_OUT = 4,
  PETIOLE_RESET_SOFTWARE = 5,
  PETIOLE_RESET_FIRMWARE = 6,
  PETIOLE_RESET_WAKE = 7
};

/* `features` of the configuration. COMMANDS and FIRMWARE are set by what is compiled in and configured. */
enum {
  PETIOLE_ONE_WAY = 0x01,
  /* The context survives a reset and is taken up by petiole_resume. */
  PETIOLE_KEEPS = 0x02,
  PETIOLE_SLEEPS = 0x04,
  PETIOLE_TAKES_FIRMWARE = 0x08,
  /* The image that runs is not confirmed. */
  PETIOLE_ON_TRIAL = 0x10,
  PETIOLE_TAKES_COMMANDS = 0x20
};

/* Types of entities and values. */
enum {
  PETIOLE_BOOLEAN = 0,
  PETIOLE_INTEGER = 1,
  PETIOLE_FLOAT = 2,
  PETIOLE_TEXT = 3,
  PETIOLE_BYTES = 4,
  PETIOLE_NULL = 5
};

/* Levels of petiole_log. */
enum { PETIOLE_ERROR = 0, PETIOLE_WARNING = 1, PETIOLE_INFO = 2, PETIOLE_DEBUG = 3 };

/* A value that the board measures or holds. Its number is its place in the table. */
typedef struct {
  const char *name;     /* 1 to 32 of A-Z a-z 0-9 _ - */
  const char *unit;     /* "°C"; NULL: none */
  float scale;          /* the real value is the sent one times this; 0: the sent one */
  int32_t minimum;      /* of the real value, */
  int32_t maximum;      /* where it is not minimum */
  uint32_t interval_ms; /* between values, up to 24 days; 0: not known */
  uint8_t type;         /* PETIOLE_BOOLEAN ... PETIOLE_BYTES */
  uint8_t is_writable;  /* commands may set it */
} petiole_entity;

typedef struct {
  uint8_t type;
  union {
    int32_t integer; /* also of a boolean: 0 or 1 */
    float real;
    struct {
      const uint8_t *bytes; /* of text too, without a zero behind it; valid during the callback only */
      uint16_t length;
    } text;
  } as;
} petiole_value;

/* A part of a received frame: valid during the callback only, and without a zero behind it. */
typedef struct {
  const uint8_t *bytes;
  uint16_t length;
} petiole_slice;

#if PETIOLE_WITH_FIRMWARE
/* Steps of the way of an image; see `firmware_step`. */
enum {
  PETIOLE_IMAGE_BEGIN = 1,
  PETIOLE_IMAGE_VERIFY = 3,
  PETIOLE_IMAGE_BOOT = 4,
  PETIOLE_IMAGE_CONFIRM = 5,
  PETIOLE_IMAGE_CANCEL = 6
};

enum {
  PETIOLE_IDLE = 0,
  PETIOLE_RECEIVING = 1,
  PETIOLE_READY = 2,
  PETIOLE_BOOTING = 3,
  PETIOLE_TRIAL = 4
};

typedef struct {
  uint32_t size;           /* from BEGIN on */
  uint32_t offset;         /* BEGIN: to be set to where a transfer of this hash goes on; it is 0 before */
  uint32_t trial_ms;       /* BOOT: to go back after this time without CONFIRM */
  const uint8_t *hash;     /* BEGIN: SHA-256 of the image, 32 bytes */
  petiole_slice target;    /* BEGIN */
  petiole_slice version;   /* BEGIN */
  petiole_slice signature; /* BEGIN: of 64 bytes, or none */
} petiole_image;
#endif

typedef struct {
  const char *identity; /* the same for ever, one board of its kind; 1 to 32 printable characters without space */
  const char *hardware; /* target of firmware images; NULL as '' here and below */
  const char *firmware;
  const char *version;
  const uint8_t *hash; /* SHA-256 of the running image, 32 bytes; NULL: not known */
  uint32_t boot_count; /* 0: not known */
  uint32_t entropy;    /* as different from boot to boot as the board can: noise of an input, a timer, the boot count */
  uint8_t reset_reason;
  uint8_t features;

  const petiole_entity *entities;
  uint8_t entity_count;
  uint16_t batch_ms; /* a batch of values waits so long for more; 0: it takes what comes while the line is busy */

  void *user; /* given to each callback */
  /* Takes bytes for the line, as many as it has room for; returns how many. */
  uint16_t (*write)(void *user, const uint8_t *bytes, uint16_t length);
  /* Milliseconds since any time; goes from 2^32 - 1 to 0. */
  uint32_t (*now)(void *user);
  /* Optional: the frame with this number (what petiole_put_* and others gave) is on the gateway's disk, or was refused. */
  void (*receipt)(void *user, uint32_t number, uint8_t code);
  /* Optional: the conversation is open (1), or no longer (0). */
  void (*link)(void *user, uint8_t is_open);
  /*
   * Optional: the time, after petiole_ask_time and when the conversation opens: milliseconds since 1970 as 8 bytes, the
   * lowest first, and then 1 where the gateway trusts its clock.
   */
  void (*time)(void *user, const uint8_t *bytes);

#if PETIOLE_WITH_MESSAGES
  const char *const *subscriptions; /* subjects; "." in front: below that of the port */
  uint8_t subscription_count;
  /* A message of the subscription with this place in the table. PETIOLE_BUSY: give it again later. */
  uint8_t (*message)(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload);
  /*
   * To be answered by petiole_reply with this id, now or within time_ms. PETIOLE_BUSY: nothing was done, give it again
   * later. A reply of PETIOLE_REPLY_BYTES - 3 bytes has room; ask petiole_may_reply for a longer one before you do what
   * must not be done twice.
   */
  uint8_t (*request)(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t time_ms);
  /* Sets a writable entity; may change *value to what is in force then. Any other code than PETIOLE_OK: not done. */
  uint8_t (*command)(void *user, uint8_t entity, petiole_value *value);
  /* The answer to petiole_request. */
  void (*reply)(void *user, uint16_t id, uint8_t code, petiole_slice payload);
#endif

#if PETIOLE_WITH_FIRMWARE
  /* Stores bytes of an image for good; NULL: the board takes no firmware. */
  uint8_t (*firmware_write)(void *user, uint32_t offset, const uint8_t *bytes, uint16_t length);
  /*
   * BEGIN: check the image, make room, set image->offset. VERIFY: read back what was stored and compare the hash.
   * BOOT: start it on trial (the gateway has been told). CONFIRM: keep the running image for good. CANCEL: forget the
   * image, or end the trial by a reset; so it is called also when the trial time is over. Reset after the next
   * petiole_poll, then the gateway hears why.
   */
  uint8_t (*firmware_step)(void *user, uint8_t step, petiole_image *image);
  uint32_t trial_ms; /* what is left of the trial time, where features has PETIOLE_ON_TRIAL; 0: the boot loader counts it */
#endif
} petiole_config;

/* Lengths within a frame: of 8 bits where they fit, for the sake of small processors. */
#if PETIOLE_FRAME_MAX <= 248
typedef uint8_t petiole_size;
#else
typedef uint16_t petiole_size;
#endif

/* A zero, a code for each 254 bytes, the plain frame, a zero. */
#define PETIOLE_LINE_BYTES (PETIOLE_FRAME_MAX + PETIOLE_FRAME_MAX / 254 + 3)

/* A frame on its way out: plain while it is made, then encoded in its place. */
typedef struct {
  uint8_t *line;       /* PETIOLE_LINE_BYTES of them */
  petiole_size length; /* of the plain frame while it is made, then of the bytes on the line */
  petiole_size limit;  /* of the plain frame without its check */
  petiole_size at;     /* written so far; length: nothing to write */
  uint8_t channel;
  uint8_t is_full; /* more was put in than the limit lets */
  uint16_t counter;
} petiole_sender;

/* The frame that is coming in. */
typedef struct {
  petiole_size length; /* PETIOLE_FRAME_MAX + 1: too long */
  uint8_t left;        /* bytes of the group that are still to come */
  uint8_t code;        /* of the group; 0: nothing of a frame has come */
  uint8_t frame[PETIOLE_FRAME_MAX + 1];
} petiole_receiver;

/* A frame without receipt. */
typedef struct {
  petiole_size length;
  uint8_t type;
  uint8_t marks;
  uint8_t values; /* messages, or values of a batch; of a SKIP its code */
} petiole_entry;

/* What HELLO says in words of 32 bits, in its order. */
typedef struct {
  uint32_t nonce;
  uint32_t session;
  uint32_t oldest; /* number of the first frame of the ring */
  uint32_t boot_count;
  uint32_t uptime;
  uint32_t lost; /* values and messages for which there was no room */
  uint32_t description;
} petiole_words;

/*
 * Everything. From outside, only the counters and words.lost are to be read. What is used most stands first, where the
 * instructions of small processors reach. Times are in units of 16 ms, but for those with ms in their name.
 */
typedef struct {
  petiole_sender sender;
  const petiole_config *config;
  uint8_t state;
  uint8_t due;  /* bits: what is to be sent */
  uint8_t step; /* entity or subscription that is next in opening */
  uint8_t window;
  uint8_t is_asleep;
  uint8_t image_state;
  uint16_t tick; /* now */
  uint16_t heard_at;
  uint16_t sent_at;
  uint16_t timer_at; /* HELLO, DESCRIBE or SUBSCRIBE again */
  uint16_t retry_at;
  uint16_t retry;
  uint16_t keep_alive;
  /* The retry ring, the oldest frame first: it survives petiole_resume. */
  uint8_t first; /* in entries */
  uint8_t count;
  uint16_t head; /* in bytes */
  uint16_t used;
  petiole_words words;
  uint32_t magic;
  uint32_t started_ms;
  uint32_t batch_ms; /* uptime at the reference time of the newest batch */
  uint32_t silent_ms;
  uint16_t taken; /* sequence of the last numbered frame of the gateway */
  uint16_t held_until; /* NAK busy */
  uint16_t hello;
  uint16_t request_id;
  uint8_t tries;
  uint8_t nak_code;
  uint8_t pong_length;
  uint8_t pong[8];
  /* Counters; from 65535 they go to 0. */
  uint16_t bad_frames; /* damaged, too short or too long */
  uint16_t repeated;   /* numbered frames that were sent again */
  uint16_t discarded;  /* sound, but of another channel or not to be used */
#if PETIOLE_WITH_FIRMWARE
  uint8_t image_code;
  uint8_t image_hash[8];
  petiole_image image;
#endif
  petiole_receiver receiver;
  petiole_entry entries[PETIOLE_RING_FRAMES];
  uint8_t line[PETIOLE_LINE_BYTES];
  uint8_t bytes[PETIOLE_RING_BYTES];
} petiole;

/* Begins anew: frames without receipt are forgotten. `config` must stay where it is. */
void petiole_start(petiole *board, const petiole_config *config);

/*
 * Goes on with the frames of a context that survived a reset (RAM that is not cleared, FRAM, a copy from flash); returns 1.
 * Where it holds nothing sound it is petiole_start, and returns 0.
 */
uint8_t petiole_resume(petiole *board, const petiole_config *config);

/* Bytes that came. */
void petiole_receive(petiole *board, const uint8_t *bytes, size_t length);

/*
 * Does what is due. Returns the milliseconds until something may be due again, 0 while bytes wait for the line: how long a
 * board may sleep if no byte comes.
 */
uint32_t petiole_poll(petiole *board);

/* 1 while numbered frames flow. */
uint8_t petiole_is_open(const petiole *board);

/* Frames without receipt. */
uint8_t petiole_waiting(const petiole *board);

/*
 * Values of entities, measured now. They are kept until the gateway has them; PETIOLE_BUSY where there is no room: the
 * value is then counted as lost, and reported. Values that come while a batch waits for the line join it.
 */
uint8_t petiole_put_boolean(petiole *board, uint8_t entity, uint8_t value);
uint8_t petiole_put_integer(petiole *board, uint8_t entity, int32_t value);
uint8_t petiole_put_float(petiole *board, uint8_t entity, float value);
uint8_t petiole_put_text(petiole *board, uint8_t entity, const char *value);
uint8_t petiole_put_value(petiole *board, uint8_t entity, const petiole_value *value);

/* The number of the frame that was last put into the ring, as `receipt` will name it. */
uint32_t petiole_number(const petiole *board);

/* A message on a subject, kept like a value. */
uint8_t petiole_publish(petiole *board, const char *subject, const void *payload, uint16_t length);

/*
 * Makes room for what is new: the oldest frame goes and is counted as lost. PETIOLE_BUSY: there is none. An open
 * conversation begins anew, so drop several rather than one.
 */
uint8_t petiole_drop_oldest(petiole *board);

/* A line of text, level first; not kept. PETIOLE_BUSY: not now. */
uint8_t petiole_log(petiole *board, uint8_t level, const char *text);

/* Asks for the time; `time` is called with it. */
void petiole_ask_time(petiole *board);

/* Tells the gateway that the board will be silent, before it sleeps. Poll until it returns other than 0, then sleep. */
void petiole_sleep(petiole *board, uint32_t ms);

#if PETIOLE_WITH_MESSAGES
/* A request to whoever serves the subject; `reply` gets the answer. *id is its id. */
uint8_t petiole_request(petiole *board, const char *subject, const void *payload, uint16_t length, uint32_t time_ms,
                        uint16_t *id);

/* Whether a reply of so many payload bytes has room now. */
uint8_t petiole_may_reply(const petiole *board, uint16_t length);

/* Answers a request; of an error the payload is a text. */
uint8_t petiole_reply(petiole *board, uint16_t id, uint8_t code, const void *payload, uint16_t length);
#endif

#ifdef __cplusplus
}
#endif

#endif
