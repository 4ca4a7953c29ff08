/*
 * libFuzzer: whatever comes on the line, the board goes on. The input is a row of steps: some are bytes of the line as they
 * are, some are the inside of a sound frame of the open conversation, so that the fuzzer need not find checks by chance.
 *
 *   clang -fsanitize=fuzzer,address,undefined fuzz/receive.c src/petiole*.c && ./a.out
 */
#include "../src/petiole_internal.h"

static petiole board;
static petiole_sender sender;
static uint32_t now;
static uint32_t written;

static uint32_t now_ms(void *user) {
  (void)user;
  return now;
}

static uint16_t write_line(void *user, const uint8_t *bytes, uint16_t length) {
  uint16_t i;
  (void)user;
  /* All of it is looked at, so that reading beyond the end is seen. */
  for (i = 0; i < length; i++) written += bytes[i];
  return (uint16_t)(1 + written % length);
}

static uint8_t take(petiole_slice slice) {
  uint16_t i;
  for (i = 0; i < slice.length; i++) written += slice.bytes[i];
  return (uint8_t)(written % 3 == 0 ? PETIOLE_BUSY : PETIOLE_OK);
}

static uint8_t on_message(void *user, uint8_t subscription, petiole_slice subject, petiole_slice payload) {
  (void)user;
  (void)subscription;
  take(subject);
  return take(payload);
}

static uint8_t on_request(void *user, uint16_t id, petiole_slice subject, petiole_slice payload, uint32_t time_ms) {
  (void)user;
  (void)time_ms;
  take(subject);
  return petiole_reply(&board, id, take(payload), payload.bytes, payload.length);
}

static uint8_t on_command(void *user, uint8_t entity, petiole_value *value) {
  petiole_slice text;
  (void)user;
  (void)entity;
  if (value->type != PETIOLE_TEXT) return PETIOLE_OK;
  text.bytes = value->as.text.bytes;
  text.length = value->as.text.length;
  return take(text);
}

static void on_reply(void *user, uint16_t id, uint8_t code, petiole_slice payload) {
  (void)user;
  (void)id;
  (void)code;
  take(payload);
}

static uint8_t on_write(void *user, uint32_t offset, const uint8_t *bytes, uint16_t length) {
  petiole_slice slice;
  (void)user;
  (void)offset;
  slice.bytes = bytes;
  slice.length = length;
  return take(slice);
}

static uint8_t on_step(void *user, uint8_t step, petiole_image *image) {
  (void)user;
  if (step != PETIOLE_IMAGE_BEGIN) return PETIOLE_OK;
  take(image->target);
  take(image->version);
  take(image->signature);
  return PETIOLE_OK;
}

static const petiole_entity entities[] = {
    {"switch", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, 1},
    {"text", "unit", 0.5f, -1, 1, 1000, PETIOLE_TEXT, 1},
};
static const char *const subjects[] = {".m", "a.b"};
static const petiole_config config = {
    .identity = "fuzzed", .entities = entities, .entity_count = 2, .write = write_line, .now = now_ms,
    .subscriptions = subjects, .subscription_count = 2, .message = on_message, .request = on_request,
    .command = on_command, .reply = on_reply, .firmware_write = on_write, .firmware_step = on_step};

static void frame(const uint8_t *bytes, uint8_t length) {
  static uint8_t line[PETIOLE_LINE_BYTES];
  sender.line = line;
  petiole_frame_channel(&sender, bytes[0] == HELLO ? 0 : board.sender.channel, PETIOLE_FRAME_MAX);
  petiole_frame_numbered(&sender, bytes[0], bytes[1], bytes[2] < 128 ? (uint16_t)(board.taken + 1) : bytes[2]);
  petiole_frame_bytes(&sender, bytes + 3, (petiole_size)(length - 3));
  /* An answer to the HELLO that was sent last. */
  if (bytes[0] == HELLO && length >= 19) petiole_put_u32(line + PETIOLE_PLAIN_AT + 6 + 8, board.words.nonce);
  petiole_frame_end(&sender);
  petiole_receive(&board, line, sender.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t left) {
  now = 0;
  petiole_start(&board, &config);
  while (left >= 2) {
    uint8_t kind = bytes[0];
    uint8_t length = bytes[1];
    bytes += 2;
    left -= 2;
    if (length > left) length = (uint8_t)left;
    if (kind < 64) petiole_receive(&board, bytes, length);
    else if (kind < 192 && length >= 3) frame(bytes, length);
    else if (kind < 200) petiole_drop_oldest(&board);
    else if (kind < 210) petiole_put_integer(&board, kind & 1, length);
    else if (kind < 220) petiole_publish(&board, ".s", bytes, length);
    else if (kind == 255) petiole_resume(&board, &config);
    else now += (uint32_t)length << (kind & 15);
    petiole_poll(&board);
    bytes += length;
    left -= length;
  }
  return 0;
}
