/*
 * Goal: over a line with wrong bits, lost bytes, bytes that come twice and frames in pieces, and with both ends falling,
 * the gateway's journal holds each message that the board gave to the library, once and in order, and nothing else.
 *
 * Method: the library on one end; on the other a gateway in few lines, written from PROTOCOL.md, that shares no code with it
 * (its COBS and CRC are its own). Time is virtual: a byte takes as long as on a line of 115,200 baud. Every message is a
 * running number and bytes that follow from it. The gateway commits late, and forgets what is not committed when it falls;
 * the board keeps its context (KEEPS). `channel FRAMES SEED` ends when that many frames have gone over the line.
 * `channel FRAMES SEED goodput`: 1e-5 of the bits are wrong, nothing falls, and every message has 200 bytes; how much of
 * the line they have is written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../firmware-bridge/src/petiole_internal.h"

enum { BYTE_US = 87, WINDOW = 8, LINE_MAX = 4096 };

static uint64_t random_state;
static uint64_t now_us;
static long frames, bad_frames, journaled, receipts, gateway_falls, board_falls, messages_heard, duplicates, renewed;

static int is_goodput;

static double drawn(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (double)(random_state * 2685821657736338717ull >> 11) / 9007199254740992.0;
}

static void fail(const char *what, long a, long b) {
  printf("FAILED: %s (%ld, %ld) after %ld frames\n", what, a, b, frames);
  exit(1);
}

/* What the number of a message says of its bytes. */
static uint16_t make(long number, uint8_t *to) {
  uint32_t mixed = (uint32_t)number * 2654435761u;
  uint16_t length = (uint16_t)(is_goodput ? 200 : 4 + mixed % 180);
  uint16_t i;
  petiole_put_u32(to, (uint32_t)number);
  for (i = 4; i < length; i++) to[i] = (uint8_t)((mixed >> (i % 4 * 8)) * (i & 3u) + i / 7u);
  return length;
}

static int is_made(long number, const uint8_t *bytes, uint16_t length) {
  uint8_t wanted[256];
  return make(number, wanted) == length && memcmp(wanted, bytes, length) == 0;
}

/* A direction of the line: bytes that have been sent, and from when on they may be read. */
typedef struct {
  uint8_t bytes[LINE_MAX];
  int from, count;
  uint64_t free_at;
} line;

static line up, down;
static double bit_errors, drops, doubles;

static void put(line *to, uint8_t byte) {
  if (to->count < LINE_MAX) to->bytes[(to->from + to->count++) % LINE_MAX] = byte;
}

static void spoil(line *to, uint8_t byte) {
  double chance = drawn();
  if (chance < drops) return;
  if (chance < drops + doubles) put(to, byte);
  if (drawn() < bit_errors * 8) byte ^= (uint8_t)(1u << (unsigned)(drawn() * 8));
  put(to, byte);
}

/* The board */

static petiole board;
static long next_message, next_heard;

static uint32_t now_ms(void *user) {
  (void)user;
  return (uint32_t)(now_us / 1000);
}

static uint16_t write_up(void *user, const uint8_t *bytes, uint16_t length) {
  uint16_t i;
  (void)user;
  if (up.free_at > now_us || up.count > 0) return 0;
  /* In pieces, as a driver takes them. */
  if (length > 64 && !is_goodput) length = (uint16_t)(1 + drawn() * 64);
  for (i = 0; i < length; i++) spoil(&up, bytes[i]);
  up.free_at = now_us + (uint64_t)length * BYTE_US;
  return length;
}

static void on_receipt(void *user, uint32_t number, uint8_t code) {
  (void)user;
  if (code != PETIOLE_OK) fail("a message was refused", (long)number, code);
  receipts++;
  if (receipts > journaled) fail("a receipt for what is not in the journal", receipts, journaled);
}

static uint8_t on_message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
  long number = (long)petiole_u32_at(payload.bytes);
  (void)user;
  (void)subscription;
  if (subject.length != 2 || !is_made(number, payload.bytes, payload.length)) fail("a wrong message", number, 0);
  if (number < next_heard) fail("a message twice", number, next_heard);
  next_heard = number + 1;
  messages_heard++;
  return PETIOLE_OK;
}

static const char *const subjects[] = {".m"};
static const petiole_entity entities[] = {{"n", NULL, 0, 0, 0, 0, PETIOLE_INTEGER, 0}};
static petiole_config config;

/* The gateway: in memory what a fall takes, and `journaled`, `taken`, `session` that it does not. */

typedef struct {
  uint8_t frame[512];
  uint16_t length;
  uint8_t is_held;
} held;

static struct {
  uint8_t channel, next_channel, is_subscribed;
  uint32_t expected; /* next number to hand on */
  uint32_t done;     /* the last one that is committed */
  held window[WINDOW];
  uint32_t handed;   /* messages that wait for the commit */
  uint64_t commit_at;
  uint8_t coded[2048];
  int coded_length;
  uint16_t counter, numbered;
  uint8_t message[512];
  int message_length, tries;
  uint64_t message_at, nak_at, ask_at;
} gateway;

static uint32_t session, taken; /* on the disk: up to this number of the session all is in the journal */
static long next_to_tell;

static uint32_t crc_of(const uint8_t *bytes, int length) {
  static uint32_t table[256];
  uint32_t crc = 0xffffffffu;
  int i, j;
  if (table[1] == 0) {
    for (i = 0; i < 256; i++) {
      uint32_t one = (uint32_t)i;
      for (j = 0; j < 8; j++) one = (one & 1) != 0 ? one >> 1 ^ 0x82f63b78u : one >> 1;
      table[i] = one;
    }
  }
  for (i = 0; i < length; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
  return ~crc;
}

static void tell(uint8_t type, uint8_t flags, uint16_t sequence, uint8_t channel, const uint8_t *payload, int length) {
  uint8_t plain[600], coded[620];
  int count = 6 + length, code_at = 0, to = 1, i;
  plain[0] = 1;
  plain[1] = type;
  plain[2] = flags;
  plain[3] = (uint8_t)sequence;
  plain[4] = (uint8_t)(sequence >> 8);
  plain[5] = channel;
  memcpy(plain + 6, payload, (size_t)length);
  petiole_put_u32(plain + count, crc_of(plain, count));
  count += 4;
  for (i = 0; i < count; i++) {
    if (plain[i] != 0) coded[to++] = plain[i];
    if (plain[i] != 0 && to - code_at != 255) continue;
    coded[code_at] = (uint8_t)(to - code_at);
    code_at = to++;
  }
  coded[code_at] = (uint8_t)(to - code_at);
  coded[to++] = 0;
  for (i = 0; i < to; i++) spoil(&down, coded[i]);
  frames++;
}

static void tell_short(uint8_t type, const uint8_t *payload, int length) {
  tell(type, 0, gateway.counter++, gateway.channel, payload, length);
}

static void ask(void) {
  static const uint8_t kind = 0;
  if (now_us < gateway.ask_at) return;
  gateway.ask_at = now_us + 500000;
  tell(0x01, 0, gateway.counter++, 0, &kind, 1);
}

static void tell_ack(void) {
  uint8_t sequence[2];
  sequence[0] = (uint8_t)gateway.done;
  sequence[1] = (uint8_t)(gateway.done >> 8);
  tell_short(0x09, sequence, 2);
}

static void hear_hello(const uint8_t *payload) {
  uint8_t accept[16] = {1, 1, 0, 1, WINDOW, 0, 1, 10};
  uint32_t oldest = petiole_u32_at(payload + 14);
  int i;
  if (petiole_u32_at(payload + 10) == 0) session = (uint32_t)(drawn() * 4e9) + 1, taken = 0;
  gateway.channel = gateway.next_channel = (uint8_t)(gateway.next_channel == 255 ? 1 : gateway.next_channel + 1);
  accept[5] = gateway.channel;
  memcpy(accept + 8, payload + 6, 4);
  petiole_put_u32(accept + 12, session);
  /* What waits for a commit is of the old channel, but the journal will have it. */
  gateway.expected = oldest;
  if (taken + gateway.handed >= oldest) gateway.expected = taken + gateway.handed + 1;
  gateway.done = taken;
  gateway.is_subscribed = 0;
  gateway.message_length = 0;
  gateway.numbered = 0;
  for (i = 0; i < WINDOW; i++) gateway.window[i].is_held = 0;
  tell(0x01, 0, gateway.counter++, 0, accept, 16);
  if (taken >= oldest) tell_ack();
}

static void hand_on(const uint8_t *payload, uint16_t length) {
  long number = journaled + (long)gateway.handed;
  if (payload[0] != 2 || memcmp(payload + 1, ".u", 2) != 0 || !is_made(number, payload + 3, (uint16_t)(length - 3))) {
    fail("a wrong payload was accepted", number, (long)petiole_u32_at(payload + 3));
  }
  if (gateway.handed++ == 0) gateway.commit_at = now_us + (uint64_t)(1000 + drawn() * 60000);
}

static void hear_numbered(const uint8_t *frame, uint16_t length) {
  uint16_t sequence = petiole_u16_at(frame + 3);
  int16_t ahead = (int16_t)(sequence - (uint16_t)gateway.expected);
  held *place = &gateway.window[sequence % WINDOW];
  int i;
  if (ahead < 0) {
    duplicates++;
    tell_ack();
    return;
  }
  if (ahead >= WINDOW) return;
  if (!place->is_held) {
    memcpy(place->frame, frame, length);
    place->length = length;
    place->is_held = 1;
  }
  for (place = &gateway.window[gateway.expected % WINDOW]; place->is_held;
       place = &gateway.window[gateway.expected % WINDOW]) {
    hand_on(place->frame + 6, (uint16_t)(place->length - 6));
    place->is_held = 0;
    gateway.expected++;
  }
  for (i = 0; i < ahead; i++) {
    uint8_t nak[3];
    uint16_t missing = (uint16_t)(gateway.expected + (unsigned)i);
    if (gateway.window[missing % WINDOW].is_held || (int16_t)(missing - sequence) >= 0) continue;
    if (now_us < gateway.nak_at) break;
    nak[0] = (uint8_t)missing;
    nak[1] = (uint8_t)(missing >> 8);
    nak[2] = 1;
    tell_short(0x0a, nak, 3);
  }
  if (ahead > 0 && now_us >= gateway.nak_at) gateway.nak_at = now_us + 200000;
  if (ahead == 0) gateway.nak_at = 0;
}

static void hear(const uint8_t *frame, uint16_t length) {
  const uint8_t *payload = frame + 6;
  uint8_t answer[2] = {0, 0};
  if (frame[1] == 0x01) {
    hear_hello(payload);
    return;
  }
  if (gateway.channel == 0 || frame[5] != gateway.channel) {
    ask();
    return;
  }
  if ((frame[2] & 1) != 0) hear_numbered(frame, length);
  else if (frame[1] == 0x02) answer[0] = payload[1], tell_short(0x02, answer, 2);
  else if (frame[1] == 0x05) answer[0] = payload[0], gateway.is_subscribed = 1, tell_short(0x05, answer, 2);
  else if (frame[1] == 0x0b) tell_short(0x0c, answer, 0);
  else if (frame[1] == 0x09 && petiole_u16_at(payload) == gateway.numbered) gateway.message_length = 0;
}

static void hear_byte(uint8_t byte) {
  uint8_t plain[2048];
  int from = 0, to = 0;
  if (byte != 0) {
    if (gateway.coded_length < (int)sizeof gateway.coded) gateway.coded[gateway.coded_length++] = byte;
    return;
  }
  while (from < gateway.coded_length) {
    int code = gateway.coded[from];
    if (from + code > gateway.coded_length) break;
    memcpy(plain + to, gateway.coded + from + 1, (size_t)code - 1);
    to += code - 1;
    from += code;
    if (code != 255 && from < gateway.coded_length) plain[to++] = 0;
  }
  if (gateway.coded_length > 0) {
    frames++;
    if (from == gateway.coded_length && to >= 10 && to <= 256 && plain[0] == 1 &&
        crc_of(plain, to - 4) == petiole_u32_at(plain + to - 4)) {
      hear(plain, (uint16_t)(to - 4));
    } else {
      bad_frames++;
    }
  }
  gateway.coded_length = 0;
}

static void run_gateway(void) {
  uint8_t payload[256];
  if (gateway.handed > 0 && now_us >= gateway.commit_at) {
    journaled += gateway.handed;
    taken += gateway.handed;
    gateway.handed = 0;
    gateway.done = taken;
    tell_ack();
  }
  if (gateway.channel == 0 || !gateway.is_subscribed) return;
  if (gateway.message_length == 0 && !is_goodput && drawn() < 0.02) {
    payload[0] = 0;
    payload[1] = 2;
    memcpy(payload + 2, ".m", 2);
    gateway.message_length = 4 + make(next_to_tell++, payload + 4);
    memcpy(gateway.message, payload, (size_t)gateway.message_length);
    gateway.numbered++;
    gateway.tries = 0;
    gateway.message_at = now_us;
  }
  if (gateway.message_length > 0 && now_us >= gateway.message_at) {
    if (gateway.tries++ == 5) {
      renewed++;
      gateway.message_length = 0;
      gateway.channel = 0;
      ask();
      return;
    }
    gateway.message_at = now_us + 1000000;
    tell(0x06, 1, gateway.numbered, gateway.channel, gateway.message, gateway.message_length);
  }
}

int main(int count, char **words) {
  long wanted = count > 1 ? atol(words[1]) : 100000;
  uint8_t message[256];
  uint64_t falls_at = 0;
  is_goodput = count > 3;
  random_state = (count > 2 ? strtoull(words[2], NULL, 10) : 1) * 0x9e3779b97f4a7c15ull | 1;
  config.identity = "channel";
  config.features = PETIOLE_KEEPS;
  config.entities = entities;
  config.entity_count = 1;
  config.subscriptions = subjects;
  config.subscription_count = 1;
  config.write = write_up;
  config.now = now_ms;
  config.receipt = on_receipt;
  config.message = on_message;
  petiole_start(&board, &config);
  ask();
  while (frames < wanted) {
    int i;
    /* Quiet times and bad ones: 1e-7 to 1e-3 of the bits. */
    if (is_goodput) {
      bit_errors = 1e-5;
    } else if (now_us >= falls_at) {
      static const double errors[] = {1e-7, 1e-5, 1e-5, 1e-4, 1e-3};
      falls_at = now_us + (uint64_t)(drawn() * 20e6);
      bit_errors = errors[(int)(drawn() * 5)];
      drops = bit_errors * (drawn() < 0.5 ? 0.5 : 4);
      doubles = bit_errors * (drawn() < 0.5 ? 0.5 : 4);
      if (drawn() < 0.2) {
        /* The gateway falls: what it had not committed is gone. */
        uint8_t channel = (uint8_t)(drawn() * 255);
        memset(&gateway, 0, sizeof gateway);
        gateway.next_channel = channel;
        gateway_falls++;
        ask();
      }
      if (drawn() < 0.2) {
        config.entropy = (uint32_t)(drawn() * 4e9);
        if (board.words.session != 0 && !petiole_resume(&board, &config)) fail("a context did not survive", 0, 0);
        board_falls++;
      }
    }
    while (petiole_waiting(&board) < PETIOLE_RING_FRAMES - 1) {
      uint32_t lost = board.words.lost;
      if (petiole_publish(&board, ".u", message, make(next_message, message)) != PETIOLE_OK) {
        board.words.lost = lost;
        break;
      }
      next_message++;
    }
    petiole_poll(&board);
    run_gateway();
    /* Half a millisecond of the line. */
    for (i = 0; i < 6; i++) {
      if (up.count > 0) {
        hear_byte(up.bytes[up.from]);
        up.from = (up.from + 1) % LINE_MAX;
        up.count--;
      }
      if (down.count > 0) {
        petiole_receive(&board, &down.bytes[down.from], 1);
        down.from = (down.from + 1) % LINE_MAX;
        down.count--;
      }
      now_us += BYTE_US;
    }
  }
  if (journaled + (long)gateway.handed + petiole_waiting(&board) < next_message) fail("messages are missing", journaled, next_message);
  if (is_goodput) {
    printf("%.1f %% of the line\n", (double)journaled * 200 * BYTE_US * 100 / (double)now_us);
    return 0;
  }
  printf("%ld frames, %ld bad at the gateway, %u at the board; %ld messages, %ld journaled, %ld receipts, %ld came again; "
         "%ld messages heard; %ld falls of the gateway, %ld of the board, %ld renewed\n",
         frames, bad_frames, board.bad_frames, next_message, journaled, receipts, duplicates, messages_heard, gateway_falls,
         board_falls, renewed);
  if (journaled == 0 || receipts == 0 || bad_frames == 0 || messages_heard == 0 || gateway_falls == 0 || board_falls == 0) {
    fail("nothing was tried", journaled, receipts);
  }
  return 0;
}
